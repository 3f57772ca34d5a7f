// The part of a conversation's current branch that is loaded: a piece without
// gaps. Pure functions over it.
import type { MessageView } from '../api/client';

export type Rows = readonly MessageView[];

/**
 * The newest page put below what is loaded. Older rows stay where they join on;
 * where they do not (another branch, too much happened), only the page remains.
 */
export function withNewest(rows: Rows, page: Rows): Rows {
  const first = page[0];
  if (!first) return [];
  const known = new Map(rows.map((row) => [row.id, row]));
  const fresh = page.map((row) => unchanged(known.get(row.id), row));
  const overlap = rows.findIndex((row) => row.id === first.id);
  if (overlap >= 0) return [...rows.slice(0, overlap), ...fresh];
  const parent = rows.findIndex((row) => row.id === first.parent_id);
  return parent >= 0 ? [...rows.slice(0, parent + 1), ...fresh] : fresh;
}

/** Whether the newest page meets what is loaded, so that nothing is missing between them. */
export function joins(rows: Rows, page: Rows): boolean {
  const first = page[0];
  return rows.length === 0 || rows.some((row) => row.id === first?.id || row.id === first?.parent_id);
}

/** A newer page put below; null when it does not join on (the branch is another one now). */
export function withNewer(rows: Rows, page: Rows): Rows | null {
  const last = rows.at(-1);
  const at = page.findIndex((row) => row.parent_id === last?.id);
  return last && at >= 0 ? [...rows, ...page.slice(at)] : null;
}

/** Messages never change, only their siblings do: the same object stays where it can. */
function unchanged(old: MessageView | undefined, fresh: MessageView): MessageView {
  const same =
    old &&
    old.sibling_index === fresh.sibling_index &&
    old.sibling_ids.length === fresh.sibling_ids.length &&
    old.sibling_ids.every((id, at) => id === fresh.sibling_ids[at]);
  return same ? old : fresh;
}

/** An older page put above. What does not join on is not taken. */
export function withOlder(rows: Rows, page: Rows): Rows {
  const first = rows[0];
  const last = page.at(-1);
  if (!first) return page;
  if (!last || last.id !== first.parent_id) return rows;
  return [...page, ...rows];
}

/** Whether there is more above. */
export function hasOlder(rows: Rows): boolean {
  return (rows[0]?.depth ?? 0) > 0;
}

/** The rows up to and with a message; all without one that is known, none for null. */
export function upTo(rows: Rows, id: string | null): Rows {
  if (id === null) return [];
  const at = rows.findIndex((row) => row.id === id);
  return at < 0 ? rows : rows.slice(0, at + 1);
}

/** The rows above a message; none without one that is known. */
export function before(rows: Rows, id: string): Rows {
  const at = rows.findIndex((row) => row.id === id);
  return rows.slice(0, Math.max(0, at));
}

export interface Siblings {
  /** From 0. */
  index: number;
  count: number;
  previous: string | null;
  next: string | null;
}

export function siblings(message: MessageView): Siblings {
  const { sibling_ids: ids, sibling_index: index } = message;
  return { index, count: ids.length, previous: ids[index - 1] ?? null, next: ids[index + 1] ?? null };
}

/** On which page of `size`, counted from the newest, a depth of a branch of `total` messages stands. */
export function pageOf(depth: number, total: number, size: number): number {
  return Math.max(1, Math.ceil((total - depth) / size));
}

/** The prompt that waits for an answer: the last message, when nobody has answered it. */
export function unanswered(rows: Rows): MessageView | null {
  const last = rows.at(-1);
  return last?.role === 'user' ? last : null;
}

/** How high a text will be, in pixels; roughly. */
export function heightOf(text: string, width: number): number {
  const letters = Math.min(95, Math.max(25, width / 9));
  let lines = 0;
  for (const line of text.split('\n')) lines += Math.ceil(line.length / letters);
  return 60 + lines * 27;
}
