// Which saved prompts a `/` at the beginning of the composer means. Pure.

export interface Named {
  command: string;
  title: string;
}

/** What stands after the `/`, or null where no command is being typed. */
export function commandIn(text: string): string | null {
  const match = /^\/([^\n]{0,60})$/.exec(text);
  // "/ " and "//" are text.
  return match && !/^[\s/]/.test(match[1] ?? '') ? (match[1] ?? '') : null;
}

/** The way letters are compared: without case and accents. */
export function plain(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

function rank(prompt: Named, query: string): number {
  const title = plain(prompt.title);
  if (prompt.command === query) return 0;
  if (prompt.command.startsWith(query)) return 1;
  if (title.startsWith(query)) return 2;
  if (title.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(query))) return 3;
  if (prompt.command.includes(query)) return 4;
  if (title.includes(query)) return 5;
  return -1;
}

/** Those that fit, the best first, equal ones by their command. */
export function matching<P extends Named>(prompts: readonly P[], wanted: string): P[] {
  const query = plain(wanted.trim());
  return prompts
    .map((prompt) => ({ prompt, rank: query === '' ? 0 : rank(prompt, query) }))
    .filter((one) => one.rank >= 0)
    .sort((a, b) => a.rank - b.rank || (a.prompt.command < b.prompt.command ? -1 : 1))
    .map((one) => one.prompt);
}

/** Where the part of a list begins that is shown, so that `current` is in it and not at its edge. */
export function windowFrom(count: number, current: number, most: number): number {
  const wanted = current - Math.floor(most / 2);
  return Math.max(0, Math.min(wanted, count - most));
}

const LONGEST = 32;

/** A command for a title: "Für Anfänger erklären" is "fur-anfanger-erklaren". */
export function commandFor(title: string): string {
  return plain(title.replace(/ß/g, 'ss'))
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, LONGEST)
    .replace(/^-+|-+$/g, '');
}
