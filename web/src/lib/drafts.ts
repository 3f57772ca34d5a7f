// What was typed and not sent, by conversation; it survives everything but being sent.
import { forget, load, save } from './storage';

const timers = new Map<string, ReturnType<typeof setTimeout>>();
const waiting = new Map<string, string>();

/** `id` is the conversation's, or "new". */
export function draft(id: string): string {
  return waiting.get(id) ?? load(`draft:${id}`) ?? '';
}

/** Kept at once in memory, and in storage when typing pauses. */
export function keepDraft(id: string, text: string): void {
  waiting.set(id, text);
  clearTimeout(timers.get(id));
  timers.set(
    id,
    setTimeout(() => flush(id), 250),
  );
}

export function dropDraft(id: string): void {
  waiting.set(id, '');
  flush(id);
}

export function dropAllDrafts(): void {
  waiting.clear();
  forget('draft:');
}

function flush(id: string): void {
  clearTimeout(timers.get(id));
  const text = waiting.get(id);
  if (text === undefined) return;
  save(`draft:${id}`, text.trim() === '' ? null : text);
  waiting.delete(id);
}

/** Writes what is waiting: the page may be gone in a moment. */
export function flushDrafts(): void {
  for (const id of [...waiting.keys()]) flush(id);
}
