// Something that is fetched for a view, with what it is to wait for it or to fail.
// Only the newest question's answer counts.
import { asApiError, type ApiError } from '../api/error';

export class Loaded<T> {
  value = $state.raw<T | null>(null);
  problem = $state.raw<ApiError | null>(null);
  busy = $state(false);
  #asked = 0;

  /** Keeps what is shown until the answer is there. */
  async load(fetch: () => Promise<T>): Promise<void> {
    const mine = ++this.#asked;
    this.busy = true;
    try {
      const found = await fetch();
      if (mine !== this.#asked) return;
      this.value = found;
      this.problem = null;
    } catch (error) {
      if (mine !== this.#asked) return;
      this.problem = asApiError(error);
    }
    this.busy = false;
  }
}
