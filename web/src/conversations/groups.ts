// Where rows and the headings between them stand in a list of which only parts
// are loaded. Pure arithmetic; Conversations.svelte draws it.

export const ROW = 36;
export const HEADING = 34;

export interface Heading {
  /** The row it stands before. */
  at: number;
  label: string;
}

export type Group = 'pinned' | 'today' | 'yesterday' | 'week' | 'month' | `${number}-${number}`;

function dayOf(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** The group of something that changed then, in local time. */
export function groupOf(updated: string, pinned: boolean, now: Date): Group {
  if (pinned) return 'pinned';
  const then = new Date(updated);
  // Rounded: a day with a change of the clock has 23 or 25 hours.
  const days = Math.round((dayOf(now) - dayOf(then)) / 86_400_000);
  if (days <= 0) return 'today';
  if (days === 1) return 'yesterday';
  if (days <= 7) return 'week';
  if (days <= 30) return 'month';
  return `${then.getFullYear()}-${then.getMonth() + 1}`;
}

/** Headings wherever the group changes, and where a loaded part begins. */
export function headings(
  total: number,
  group: (row: number) => Group | null,
  label: (group: Group) => string,
  pages: Iterable<[number, number]>,
): Heading[] {
  const found: Heading[] = [];
  for (const [from, to] of [...pages].sort((a, b) => a[0] - b[0])) {
    for (let row = from; row < Math.min(to, total); row++) {
      const mine = group(row);
      if (mine === null) continue;
      if (row === 0 || group(row - 1) !== mine) found.push({ at: row, label: label(mine) });
    }
  }
  return found;
}

/** The top of a row, below its heading if it has one. */
export function topOf(row: number, heads: readonly Heading[]): number {
  let before = 0;
  while (before < heads.length && (heads[before] as Heading).at <= row) before += 1;
  return row * ROW + before * HEADING;
}

export function heightOf(total: number, heads: readonly Heading[]): number {
  return total * ROW + heads.length * HEADING;
}

/** The rows that can be seen, with some more on both sides. */
export function visible(
  top: number,
  height: number,
  total: number,
  heads: readonly Heading[],
  more = 8,
): [number, number] {
  const first = Math.max(0, Math.floor((top - heads.length * HEADING) / ROW));
  let from = Math.min(first, Math.max(0, total - 1));
  while (from < total - 1 && topOf(from, heads) + ROW < top) from += 1;
  const count = Math.ceil(height / ROW);
  return [Math.max(0, from - more), Math.min(total, from + count + more)];
}
