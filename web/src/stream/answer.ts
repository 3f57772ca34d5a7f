// What an answer is while its events arrive: a pure fold over them. An event that
// was seen already (after a reconnect) changes nothing.
import type { Message, Usage } from '../api/client';
import type { StreamEvent } from './parser';

export interface AnswerFailure {
  code: string;
  detail: string;
}

export interface Answer {
  runId: string | null;
  /** The id the stored answer will have. */
  messageId: string | null;
  /** The prompt that it answers. */
  promptId: string | null;
  text: string;
  /** The last event id seen: where to go on. */
  lastId: string | null;
  /** Why the text was replaced the last time; null if it never was. */
  reset: string | null;
  usage: Usage | null;
  failure: AnswerFailure | null;
  end: AnswerEnd | null;
}

export interface AnswerEnd {
  reason: string;
  /** The stored answer; null when nothing was kept. */
  message: Message | null;
  charged: number | null;
  balance: number | null;
}

export function begin(runId: string | null = null): Answer {
  return {
    runId,
    messageId: null,
    promptId: null,
    text: '',
    lastId: null,
    reset: null,
    usage: null,
    failure: null,
    end: null,
  };
}

/** Order of event ids `<epoch>-<seq>`; ids of another form come in the order they come. */
export function isAfter(id: string | null, last: string | null): boolean {
  if (id === null || last === null) return true;
  const a = /^(\d+)-(\d+)$/.exec(id);
  const b = /^(\d+)-(\d+)$/.exec(last);
  if (!a || !b) return id !== last;
  const epochs = Number(a[1]) - Number(b[1]);
  return epochs !== 0 ? epochs > 0 : Number(a[2]) > Number(b[2]);
}

type Json = Record<string, unknown>;

function parsed(data: string): Json {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null ? (value as Json) : {};
  } catch {
    return {};
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number | null => (typeof value === 'number' ? value : null);

/**
 * The answer after one more event; the same object when nothing changed. A reset
 * counts whatever its id: it comes when the last id seen was never stored.
 */
export function apply(answer: Answer, event: StreamEvent): Answer {
  if (answer.end || (event.kind !== 'reset' && !isAfter(event.id, answer.lastId))) return answer;
  const data = parsed(event.data);
  const next: Answer = { ...answer, lastId: event.id ?? answer.lastId };
  switch (event.kind) {
    case '':
      next.text += text(data.text);
      return next;
    case 'start':
      next.runId = text(data.run_id) || answer.runId;
      next.messageId = text(data.message_id) || answer.messageId;
      next.promptId = text(data.prompt_id) || answer.promptId;
      return next;
    case 'reset':
      next.text = text(data.text);
      next.reset = text(data.reason) || 'reset';
      return next;
    case 'usage':
      next.usage = data as unknown as Usage;
      return next;
    case 'error':
      next.failure = { code: text(data.code) || 'error', detail: text(data.detail) || text(data.error) };
      return next;
    case 'end':
      return ended(next, data);
    default:
      return next;
  }
}

function ended(next: Answer, data: Json): Answer {
  const credits = (data.credits ?? {}) as Json;
  const message = (data.message ?? null) as Message | null;
  const error = (data.error ?? null) as Json | null;
  next.end = {
    reason: text(data.end_reason),
    message,
    charged: number(credits.charged),
    balance: number(credits.balance),
  };
  if (data.usage) next.usage = data.usage as Usage;
  if (error && !next.failure)
    next.failure = { code: text(error.code) || 'error', detail: text(error.detail) };
  // The stored text is the true one, whatever was read on the way.
  if (message) next.text = message.content;
  return next;
}
