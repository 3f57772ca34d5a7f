// What users have, asked for one by one (there is no list of balances), a few at a time.
import { api, data } from '../api/client';

const AT_ONCE = 4;

class Balances {
  #known = $state.raw<ReadonlyMap<string, number>>(new Map());
  #generation = 0;

  of(id: string): number | undefined {
    return this.#known.get(id);
  }

  /** Fetches those of these users; a later call replaces an earlier one. */
  async look(ids: readonly string[]): Promise<void> {
    const mine = ++this.#generation;
    const waiting = [...ids];
    const work = async (): Promise<void> => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
        const query = { user_id: id };
        const found = await data(api.GET('/credits/balance', { params: { query } })).catch(() => null);
        if (mine !== this.#generation) return;
        if (found) this.#known = new Map(this.#known).set(id, found.balance);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  forget = (): void => {
    this.#generation += 1;
    this.#known = new Map();
  };
}

export const balances = new Balances();
