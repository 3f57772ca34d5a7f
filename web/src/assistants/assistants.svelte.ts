// One's assistants, all of them (the server allows 200).
import { api, data, once, type Assistant, type AssistantInput } from '../api/client';
import { asApiError } from '../api/error';
import { Loaded } from '../lib/loading.svelte';
import { everyPage } from '../lib/pages';

export class Assistants extends Loaded<Assistant[]> {
  refresh(): Promise<void> {
    return this.load(() => everyPage((query) => data(api.GET('/assistants', { params: { query } }))));
  }

  async create(body: AssistantInput): Promise<void> {
    const made = await data(api.POST('/assistants', { body, headers: once() }));
    this.value = [made, ...(this.value ?? [])];
  }

  async change(id: string, body: Partial<AssistantInput>): Promise<void> {
    const now = await data(api.PATCH('/assistants/{id}', { params: { path: { id } }, body }));
    this.value = (this.value ?? []).map((one) => (one.id === id ? now : one));
  }

  /** Takes it away at once, and puts it back if the server does not agree. */
  async remove(id: string): Promise<void> {
    const before = this.value;
    this.value = (before ?? []).filter((one) => one.id !== id);
    try {
      await data(api.DELETE('/assistants/{id}', { params: { path: { id } } }));
    } catch (error) {
      if (asApiError(error).status === 404) return;
      this.value = before;
      throw error;
    }
  }
}
