// One's saved prompts: all of them, as the composer's menu filters them here.
import { api, data, once, type SavedPrompt, type SavedPromptInput } from '../api/client';
import { asApiError, type ApiError } from '../api/error';
import { currentUser } from '../lib/account.svelte';
import { everyPage } from '../lib/pages';

class Prompts {
  all = $state.raw<readonly SavedPrompt[]>([]);
  problem = $state.raw<ApiError | null>(null);
  /** Whose they are; null while nothing is loaded. */
  #of = $state<string | null>(null);

  get loaded(): boolean {
    return this.#of !== null && this.#of === currentUser()?.id;
  }

  /** Fetches them; what is shown stays until the answer is there. */
  async load(): Promise<void> {
    const whose = currentUser()?.id ?? null;
    if (this.#of !== whose) {
      this.#of = null;
      this.all = [];
    }
    try {
      const all = await everyPage((query) => data(api.GET('/prompts', { params: { query } })));
      if (whose !== currentUser()?.id) return;
      this.all = all;
      this.#of = whose;
      this.problem = null;
    } catch (error) {
      this.problem = asApiError(error);
    }
  }

  async create(body: SavedPromptInput): Promise<void> {
    const made = await data(api.POST('/prompts', { body, headers: once() }));
    this.all = [made, ...this.all];
  }

  async change(id: string, body: Partial<SavedPromptInput>): Promise<void> {
    const now = await data(api.PATCH('/prompts/{id}', { params: { path: { id } }, body }));
    this.all = this.all.map((one) => (one.id === id ? now : one));
  }

  /** Takes it away at once, and puts it back if the server does not agree. */
  async remove(id: string): Promise<void> {
    const before = this.all;
    this.all = before.filter((one) => one.id !== id);
    try {
      await data(api.DELETE('/prompts/{id}', { params: { path: { id } } }));
    } catch (error) {
      if (asApiError(error).status === 404) return;
      this.all = before;
      throw error;
    }
  }
}

export const prompts = new Prompts();
