// Somebody with an account: what a test needs done besides what it tests, through
// the same API and the same cookies as the page.
import { expect, type APIResponse, type BrowserContext } from '@playwright/test';

export const PASSWORD = 'a long enough password';

let made = 0;

export interface Conversation {
  id: string;
  title: string;
  head: string | null;
  pinned: boolean;
  archived: boolean;
}

export interface Message {
  id: string;
  depth: number;
  role: string;
  content: string;
  status: string;
  end_reason: string | null;
  model_id: string | null;
}

export class Person {
  private constructor(
    readonly context: BrowserContext,
    readonly url: string,
    readonly email: string,
    readonly password: string,
    readonly name: string,
  ) {}

  static async register(
    context: BrowserContext,
    url: string,
    name = 'Ana Ruiz',
    email = `ana${++made}.${process.pid}.${Date.now()}@example.org`,
  ): Promise<Person> {
    const person = new Person(context, url, email, PASSWORD, name);
    await person.post('/auth/register', { email, password: PASSWORD, display_name: name }, 201);
    await person.signIn();
    return person;
  }

  /** Somebody whose account is there already. */
  static async known(
    context: BrowserContext,
    url: string,
    who: { email: string; password: string },
  ): Promise<Person> {
    const person = new Person(context, url, who.email, who.password, '');
    await person.signIn();
    return person;
  }

  async signIn(): Promise<void> {
    await this.post('/auth/login', { username: this.email, password: this.password, cookie: true });
  }

  /** The same person at another browser. */
  at(context: BrowserContext): Promise<Person> {
    return Person.known(context, this.url, this);
  }

  async call<T>(method: string, path: string, data?: unknown, status = 200): Promise<T> {
    const headers = { Origin: this.url };
    const ask = (to: string, options: object): Promise<APIResponse> =>
      this.context.request.fetch(this.url + to, { headers, ...options });
    let answer = await ask(path, { method, data });
    // Where tokens are short-lived and this one has expired, as the page does.
    if (answer.status() === 401 && status !== 401 && !(await this.#hasAccess())) {
      await ask('/auth/refresh', { method: 'POST', data: {} });
      answer = await ask(path, { method, data });
    }
    const text = await answer.text();
    expect(answer.status(), `${method} ${path}: ${text}`).toBe(status);
    return (text === '' ? null : JSON.parse(text)) as T;
  }

  async #hasAccess(): Promise<boolean> {
    return (await this.context.cookies()).some(({ name }) => name === 'tertulia_access');
  }

  get = <T>(path: string): Promise<T> => this.call<T>('GET', path);
  post = <T>(path: string, data?: unknown, status = 200): Promise<T> =>
    this.call<T>('POST', path, data, status);
  patch = <T>(path: string, data: unknown): Promise<T> => this.call<T>('PATCH', path, data);

  /** A conversation in which these prompts were asked and answered. */
  async conversation(title: string, ...prompts: string[]): Promise<Conversation> {
    const { id } = await this.post<Conversation>('/sessions', {}, 201);
    for (const prompt of prompts) await this.post(`/sessions/${id}/messages`, { prompt });
    return this.patch<Conversation>(`/sessions/${id}`, { title });
  }

  async messages(id: string): Promise<Message[]> {
    const page = await this.get<{ data: Message[] }>(`/sessions/${id}/messages?per_page=100`);
    return page.data.sort((a, b) => a.depth - b.depth);
  }
}
