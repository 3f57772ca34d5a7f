// A conversation as somebody in front of the page meets it.
import { expect, type CDPSession, type Locator, type Page } from '@playwright/test';

/** What the scripted upstream answers with so many tokens, as it is read on the page. */
export function words(tokens: number): string {
  return Array.from({ length: tokens }, (_, n) => `w${n}`).join(' ');
}

export class Talk {
  readonly composer: Locator;
  readonly answers: Locator;
  readonly prompts: Locator;
  readonly stop: Locator;

  constructor(readonly page: Page) {
    this.composer = page.getByRole('textbox', { name: 'Your prompt' });
    this.answers = page.locator('main .answer');
    this.prompts = page.locator('main .prompt');
    this.stop = page.getByRole('button', { name: 'Stop the answer' });
  }

  static async open(page: Page, id?: string): Promise<Talk> {
    const talk = new Talk(page);
    await page.goto(id ? `/app/c/${id}` : '/app');
    await expect(talk.composer).toBeVisible();
    return talk;
  }

  get text(): Locator {
    return this.answers.last().locator('.prose');
  }

  async send(prompt: string): Promise<void> {
    await this.composer.fill(prompt);
    await this.composer.press('Enter');
  }

  /** Until the newest answer is stored. */
  async settled(): Promise<void> {
    await expect(this.answers.last().getByRole('button', { name: 'Answer once more' })).toBeVisible();
    await expect(this.stop).toBeHidden();
  }

  /** Until the answer that is being written has this word. */
  async reached(token: number, options: { timeout?: number } = {}): Promise<void> {
    await expect(this.text).toContainText(`w${token} `, options);
  }

  async ask(prompt: string): Promise<void> {
    await this.send(prompt);
    // Earlier messages may still be on their way: only its own prompt says that it was sent.
    await expect(this.prompts.last()).toContainText(prompt.split(/!script|\n/)[0]?.trim() ?? '');
    await this.settled();
  }

  get id(): string {
    return new URL(this.page.url()).pathname.split('/').at(-1) ?? '';
  }

  /** Something in the conversation's menu. */
  async choose(name: string): Promise<void> {
    await this.page.getByRole('button', { name: 'More about this conversation' }).click();
    await this.page.getByRole('menuitem', { name, exact: true }).click();
  }

  get area(): Locator {
    return this.page.locator('main section.area');
  }

  /** How far the end is below what is seen, in pixels. */
  below(): Promise<number> {
    return this.area.evaluate((area) => area.scrollHeight - area.scrollTop - area.clientHeight);
  }
}

/** The list beside it. */
export class Sidebar {
  readonly list: Locator;
  readonly search: Locator;

  constructor(readonly page: Page) {
    this.list = page.getByRole('navigation', { name: 'Conversations', exact: true });
    this.search = page.getByRole('searchbox', { name: 'Search conversations' });
  }

  row(title: string): Locator {
    return this.list.getByRole('link', { name: title });
  }

  titles(): Promise<string[]> {
    return this.list.getByRole('link').allInnerTexts();
  }

  heading(name: string): Locator {
    return this.list.getByRole('heading', { name, exact: true });
  }

  async choose(title: string, name: string): Promise<void> {
    await this.row(title).hover();
    await this.page.getByRole('button', { name: `More about “${title}”` }).click();
    await this.page.getByRole('menuitem', { name, exact: true }).click();
  }
}

/** The page's network, as the browser can bend it. */
export class Network {
  private constructor(private readonly session: CDPSession) {}

  /** Before anything is fetched that is to be cut later: only then it goes through here. */
  static async of(page: Page): Promise<Network> {
    const network = new Network(await page.context().newCDPSession(page));
    await network.session.send('Network.enable');
    await network.fast();
    return network;
  }

  #set(offline: boolean, latency: number, bytes: number): Promise<unknown> {
    return this.session.send('Network.emulateNetworkConditions', {
      offline,
      latency,
      downloadThroughput: bytes,
      uploadThroughput: bytes,
    });
  }

  fast(): Promise<unknown> {
    return this.#set(false, 0, 1e8);
  }

  /** A bad mobile network: 400 ms there and back, 400 kbit/s. */
  slow(): Promise<unknown> {
    return this.#set(false, 400, 50_000);
  }

  gone(): Promise<unknown> {
    return this.#set(true, 0, 1e8);
  }
}
