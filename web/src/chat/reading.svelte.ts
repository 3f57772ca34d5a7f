// The messages that are loaded: a piece of the current branch, mostly its end.
// Around a message that was looked for it is a piece further up (`detached`).
import { hasOlder, joins, pageOf, withNewer, withNewest, withOlder, type Rows } from './thread';

/** Messages that are there at first: a screenful or two, so that it is there at once. */
const FIRST = 20;
const PAGE = 50;
/** Messages that are put above in one go. */
const OLDER = 30;

export interface Page {
  data: Rows;
  /** Of the whole branch, or of what stands above `before`. */
  meta: { total: number };
}

/** Asks the server for messages: pages count from the newest. */
export type FetchPage = (query: { page?: number; per_page: number; before?: string }) => Promise<Page>;

export class Reading {
  rows = $state.raw<Rows>([]);
  /** More stands below the last row. */
  detached = $state(false);
  loaded = $state(false);
  #busy = false;
  /** Of the branch, when it was last asked for. */
  #total = 0;

  constructor(private readonly fetch: FetchPage) {}

  get hasOlder(): boolean {
    return hasOlder(this.rows);
  }

  has(id: string): boolean {
    return this.rows.some((row) => row.id === id);
  }

  newest(): Promise<Page> {
    return this.fetch({ per_page: this.loaded ? PAGE : FIRST });
  }

  /** Takes in the newest page. What is read further up stays, unless `leave` says to go to the end. */
  take(page: Page, leave = false): void {
    const loaded = this.loaded;
    this.loaded = true;
    if (loaded && this.detached && !leave && !joins(this.rows, page.data)) return;
    this.rows = withNewest(this.rows, page.data);
    this.detached = false;
  }

  async loadOlder(): Promise<void> {
    const first = this.rows[0];
    if (!first || !this.hasOlder) return;
    await this.#alone(async () => {
      const page = await this.fetch({ before: first.id, per_page: OLDER });
      this.rows = withOlder(this.rows, page.data);
    });
  }

  async loadNewer(): Promise<void> {
    const { rows } = this;
    const last = rows.at(-1);
    if (!this.detached || !last) return;
    await this.#alone(async () => {
      const { page, number } = await this.#pageAt(last.depth + 1);
      if (this.rows !== rows) return;
      this.rows = withNewer(rows, page.data) ?? page.data;
      this.detached = number > 1;
    });
  }

  /** Whether the message is on the branch; then what stands around it is loaded, below `above`. */
  async around(id: string, depth: number, above: Rows): Promise<boolean> {
    const { page, number } = await this.#pageAt(depth);
    const at = page.data.findIndex((row) => row.id === id);
    if (at < 0) return false;
    this.rows = [...above, ...page.data.slice(at)];
    this.detached = number > 1;
    this.loaded = true;
    return true;
  }

  /** Where a message stands, and what is above it there; throws `not_found`. */
  async above(id: string): Promise<{ depth: number; rows: Rows }> {
    const page = await this.fetch({ before: id, per_page: OLDER });
    return { depth: page.meta.total, rows: page.data };
  }

  /** The page on which a depth stands; which one that is, is known when one is there. */
  async #pageAt(depth: number): Promise<{ page: Page; number: number }> {
    let number = pageOf(depth, this.#total, PAGE);
    for (let tries = 0; ; tries++) {
      const page = await this.fetch({ page: number, per_page: PAGE });
      this.#total = page.meta.total;
      const right = pageOf(depth, this.#total, PAGE);
      // While messages are added it moves; a row that is not on it does not join on.
      if (right === number || tries === 3) return { page, number };
      number = right;
    }
  }

  /** One at a time; one that fails is tried again when somebody scrolls there again. */
  async #alone(work: () => Promise<void>): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    await work().catch(() => {});
    this.#busy = false;
  }
}
