// The models one may use, in the server's order of preference.
import { api, data, type Model } from '../api/client';
import { asApiError, type ApiError } from '../api/error';
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
    const answer = await data(api.GET('/models'));
    models = answer.data.filter((one) => one.kind === 'chat');
    hint = answer.hint ?? null;
    problem = null;
    loaded = true;
  } catch (error) {
    problem = asApiError(error);
  }
}

/** The model for a new conversation: the one chosen last, if it still exists. */
export function preferred(): string | null {
  return model(chosen)?.id ?? models[0]?.id ?? null;
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
