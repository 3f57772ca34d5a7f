// The typed client. Every call answers its data or throws an ApiError:
//   const page = await data(api.GET('/sessions', { params: { query: { page: 1 } } }));
import createClient from 'openapi-fetch';
import type { components, paths } from './schema';
import { idempotencyKey, send } from './send';

export { ApiError, asApiError } from './error';

type Schemas = components['schemas'];
export type Conversation = Schemas['Conversation'];
export type Message = Schemas['Message'];
export type MessageView = Schemas['MessageView'];
export type Model = Schemas['Model'];
export type User = Schemas['User'];
export type Usage = Schemas['Usage'];
export type SearchHit = Schemas['SearchHit'];
export type Balance = Schemas['Balance'];
export type Share = Schemas['Share'];
export type Shared = Schemas['SharedConversation'];
export type SharedMessage = Schemas['SharedMessage'];
export type Assistant = Schemas['Assistant'];
export type AssistantInput = Schemas['NewAssistantInput'];
export type Device = Schemas['Device'];
export type ModelPrice = Schemas['ModelPrice'];
export type SavedPrompt = Schemas['SavedPrompt'];
export type SavedPromptInput = Schemas['NewPromptInput'];
export type PromptInput = Partial<Schemas['PromptInput']>;

const origin = typeof location === 'undefined' ? 'http://localhost' : location.origin;

export const api = createClient<paths>({
  baseUrl: origin,
  fetch: (request) => send(request),
});

/** Header for a POST that creates or spends: sent twice, it happens once. */
export function once(key: string = idempotencyKey()): { 'Idempotency-Key': string } {
  return { 'Idempotency-Key': key };
}

/** The body of an answer; `send` has thrown for everything that is not good. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

/** Opens an event stream. */
export function stream(
  method: 'GET' | 'POST' | 'PATCH',
  path: string,
  options: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'text/event-stream', ...options.headers };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  return send(
    new Request(origin + path, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
      cache: 'no-store',
    }),
  );
}
