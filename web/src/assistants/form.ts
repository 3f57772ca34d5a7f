// What an assistant may be; the server's rules.
import { line, long, problems } from '../lib/check';
import type { Key } from '../lib/i18n.svelte';

export const QUESTIONS = 6;

export interface AssistantDraft {
  name: string;
  description: string;
  model_id: string;
  system_prompt: string;
  questions: string[];
}

/** Without the empty ones and the spaces around. */
export function asked(questions: readonly string[]): string[] {
  return questions.map((question) => question.trim()).filter((question) => question !== '');
}

/** One more empty line to write in, as long as there may be one. */
export function withRoom(questions: readonly string[]): string[] {
  const last = questions.at(-1);
  const full = questions.length >= QUESTIONS || (last !== undefined && last.trim() === '');
  return full ? [...questions] : [...questions, ''];
}

export function check(draft: AssistantDraft): Partial<Record<string, Key>> {
  const questions = draft.questions.map((text, at) => [`question${at}`, line(text, 300, false)]);
  return problems({
    name: line(draft.name, 80),
    description: line(draft.description, 300, false),
    model_id: line(draft.model_id, 200),
    system_prompt: long(draft.system_prompt),
    ...(Object.fromEntries(questions) as Record<string, Key | undefined>),
  });
}
