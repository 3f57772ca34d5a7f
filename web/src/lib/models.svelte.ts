// The models one may use, in the server's order of preference.
import { api, data, type Model } from '../api/client';
import { asApiError, type ApiError } from '../api/error';
import { known, t } from './i18n.svelte';
import { everyPage } from './pages';
import { load, save } from './storage';

let models = $state.raw<Model[]>([]);
let hint = $state<string | null>(null);
let loaded = $state(false);
let problem = $state.raw<ApiError | null>(null);
let chosen = $state<string | null>(load('model'));

export function chatModels(): Model[] {
  return models;
}

export function modelsLoaded(): boolean {
  return loaded;
}

/** What to do when there is none, by the server. */
export function modelHint(): string | null {
  return hint;
}

export function modelProblem(): ApiError | null {
  return problem;
}

export function model(id: string | null | undefined): Model | undefined {
  return models.find((one) => one.id === id);
}

export async function loadModels(): Promise<void> {
  try {
    const all = await everyPage(async (query) => {
      const page = await data(api.GET('/models', { params: { query } }));
      hint = page.hint ?? null;
      return page;
    });
    models = all.filter((one) => one.kind === 'chat');
    problem = null;
    loaded = true;
  } catch (error) {
    problem = asApiError(error);
  }
}

/** Whether it will answer, as far as the server knows. */
export function usable(one: Model): boolean {
  return one.state.status !== 'unavailable';
}

/** How it is, in words; with the reason when it is not to be had. */
export function stateText({ state }: Model): string {
  const name = `model.state.${state.status}`;
  const status = known(name) ? t(name) : state.status;
  if (state.status !== 'unavailable') return status;
  const trouble = `model.trouble.${state.reason ?? ''}`;
  const reason = known(trouble) ? t(trouble) : state.detail;
  return reason ? `${status}. ${reason}` : status;
}

/** The model for a new conversation: the one chosen last, if it still exists; else the first that answers. */
export function preferred(): string | null {
  return model(chosen)?.id ?? models.find(usable)?.id ?? models[0]?.id ?? null;
}

export function prefer(id: string): void {
  chosen = id;
  save('model', id);
}

/** What so many tokens cost at today's prices; null for a model without prices. */
export function cost(of: Model | undefined, prompt: number, completion: number): number | null {
  if (of?.input_price == null || of.output_price == null) return null;
  return (of.input_price * prompt + of.output_price * completion) / 1000;
}
