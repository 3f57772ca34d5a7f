// What is sent in a conversation, and what may come of it instead of an answer.
import type { ApiError } from '../api/error';
import type { AnswerFailure } from '../stream/answer';

/** Why a prompt was not taken. Its text is back in the composer. */
export interface Refusal {
  error: ApiError;
  /** When trying again makes sense, in milliseconds since 1970. */
  until: number | null;
}

/** An answer that failed after it had begun. */
export interface Failed {
  failure: AnswerFailure;
  /** What had arrived; it is not kept. */
  text: string;
}

export interface Outgoing {
  text: string;
  /** The prompt that is said in other words. */
  edits?: string;
}
