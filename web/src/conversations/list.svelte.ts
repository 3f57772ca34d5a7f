// One's conversations, of which only the pages that are looked at are loaded.
// The server's order is the truth: after a change the pages in view are fetched again.
import { api, data, type Conversation } from '../api/client';
import { onLive } from '../lib/live';

export const PAGE = 100;

export class ConversationList {
  total = $state(0);
  loaded = $state(false);
  failed = $state(false);
  pages = $state.raw<ReadonlyMap<number, readonly Conversation[]>>(new Map());
  readonly archived: boolean;
  #fetching = new Set<number>();
  #view: [number, number] = [0, 0];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #generation = 0;

  constructor(archived: boolean) {
    this.archived = archived;
  }

  at(row: number): Conversation | undefined {
    return this.pages.get(Math.floor(row / PAGE))?.[row % PAGE];
  }

  find(id: string): Conversation | undefined {
    for (const page of this.pages.values()) {
      const found = page.find((conversation) => conversation.id === id);
      if (found) return found;
    }
    return undefined;
  }

  /** Says which rows are in view; their pages are loaded. */
  look(from: number, to: number): void {
    this.#view = [Math.floor(from / PAGE), Math.floor(Math.max(from, to - 1) / PAGE)];
    for (let page = this.#view[0]; page <= this.#view[1]; page++) {
      if (!this.pages.has(page)) void this.#fetch(page);
    }
  }

  async #fetch(page: number): Promise<void> {
    if (this.#fetching.has(page)) return;
    this.#fetching.add(page);
    const generation = this.#generation;
    try {
      const query = { archived: this.archived, page: page + 1, per_page: PAGE };
      const found = await data(api.GET('/sessions', { params: { query } }));
      if (generation !== this.#generation) return;
      this.pages = new Map(this.pages).set(page, found.data);
      this.total = found.meta.total;
      this.loaded = true;
      this.failed = false;
    } catch {
      this.failed = true;
    } finally {
      this.#fetching.delete(page);
    }
  }

  /** Fetches what is in view again and forgets the rest; many calls at once are one. */
  refresh(wait = 150): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#reload(), wait);
  }

  async #reload(): Promise<void> {
    const generation = ++this.#generation;
    const [from, to] = this.#view;
    this.#fetching.clear();
    try {
      const wanted = Array.from({ length: to - from + 1 }, (_, n) => from + n);
      const found = await Promise.all(
        wanted.map((page) =>
          data(
            api.GET('/sessions', {
              params: { query: { archived: this.archived, page: page + 1, per_page: PAGE } },
            }),
          ),
        ),
      );
      if (generation !== this.#generation) return;
      this.pages = new Map(found.map((answer, n) => [from + n, answer.data]));
      this.total = found[0]?.meta.total ?? 0;
      this.loaded = true;
      this.failed = false;
      this.look(this.#view[0] * PAGE, (this.#view[1] + 1) * PAGE);
    } catch {
      this.failed = true;
    }
  }

  /** Shows a change before the server's order is known. */
  change(id: string, change: (conversation: Conversation) => Conversation): void {
    const pages = new Map(this.pages);
    for (const [number, page] of pages) {
      const at = page.findIndex((conversation) => conversation.id === id);
      if (at < 0) continue;
      const copy = page.slice();
      copy[at] = change(copy[at] as Conversation);
      pages.set(number, copy);
      this.pages = pages;
      return;
    }
  }

  /** Takes it out before the server has; what is being fetched may still have it, and does not count. */
  remove(id: string): void {
    this.#generation += 1;
    this.#fetching.clear();
    const pages = new Map(this.pages);
    for (const [number, page] of pages) {
      const at = page.findIndex((conversation) => conversation.id === id);
      if (at < 0) continue;
      pages.set(number, page.toSpliced(at, 1));
      this.total -= 1;
      this.pages = pages;
      return;
    }
  }

  clear(): void {
    this.#generation += 1;
    this.pages = new Map();
    this.total = 0;
    this.loaded = false;
  }
}

export const conversations = new ConversationList(false);
export const archive = new ConversationList(true);

/** After something was changed here: both lists, as far as they are shown. */
export function refreshLists(): void {
  conversations.refresh();
  if (archive.loaded) archive.refresh();
}

/** What is known of a conversation from either list. */
export function lookUp(id: string): Conversation | undefined {
  return conversations.find(id) ?? archive.find(id);
}

onLive((event) => {
  if (event.kind === 'ready' || event.kind === 'session') refreshLists();
  // A title that is made is no answer that is being written.
  if (event.kind === 'run' && event.run_kind === 'answer') {
    const active_run = event.state === 'running' ? event.run_id : null;
    conversations.change(event.session_id, (conversation) => ({ ...conversation, active_run }));
  }
});
