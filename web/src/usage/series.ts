// Usage by day and by model, made ready to be drawn: pure arithmetic.
import { micros } from '../lib/amount';

export const RANGES = [7, 30, 90] as const;
export type Range = (typeof RANGES)[number];
export const MEASURES = ['credits', 'tokens', 'requests'] as const;
export type Measure = (typeof MEASURES)[number];

export interface Sums {
  requests: number;
  prompt_tokens: number;
  completion_tokens: number;
  credits: number;
}

export interface Row extends Sums {
  /** A day (2026-11-21, UTC as the server counts) or a model's id. */
  key: string;
}

const DAY = 86_400_000;

export function dayOf(moment: number): string {
  return new Date(moment).toISOString().slice(0, 10);
}

/** So many days until today, the oldest first. */
export function daysUntil(now: number, count: number): string[] {
  return Array.from({ length: count }, (_, n) => dayOf(now - (count - 1 - n) * DAY));
}

/** One row for each day, also for those on which nothing happened. */
export function byDay(days: readonly string[], series: readonly (Sums & { day?: string | null })[]): Row[] {
  const known = new Map(series.map((group) => [group.day, group]));
  return days.map((key) => {
    const { requests = 0, prompt_tokens = 0, completion_tokens = 0, credits = 0 } = known.get(key) ?? {};
    return { key, requests, prompt_tokens, completion_tokens, credits };
  });
}

/** What is measured of a row. */
export function measured(row: Sums, measure: Measure): number {
  if (measure === 'credits') return row.credits;
  if (measure === 'requests') return row.requests;
  return row.prompt_tokens + row.completion_tokens;
}

/** Models with the most of it first; beyond `most` they are one row, "". */
export function byModel(
  series: readonly (Sums & { model_id?: string | null })[],
  measure: Measure,
  most = 8,
): Row[] {
  const rows = series
    .map(({ model_id, requests, prompt_tokens, completion_tokens, credits }) => {
      return { key: model_id ?? '', requests, prompt_tokens, completion_tokens, credits };
    })
    .sort((a, b) => measured(b, measure) - measured(a, measure) || a.key.localeCompare(b.key));
  if (rows.length <= most) return rows;
  return [...rows.slice(0, most - 1), together(rows.slice(most - 1))];
}

function together(rows: readonly Row[]): Row {
  const all: Row = { key: '', requests: 0, prompt_tokens: 0, completion_tokens: 0, credits: 0 };
  let credits = 0n;
  for (const row of rows) {
    all.requests += row.requests;
    all.prompt_tokens += row.prompt_tokens;
    all.completion_tokens += row.completion_tokens;
    credits += micros(row.credits);
  }
  all.credits = Number(credits) / 1e6;
  return all;
}

/** Round steps from 0 to at least `max`: 0, 2, 4, 6. Whole ones where only whole ones make sense. */
export function ticks(max: number, whole = false, about = 4): number[] {
  if (!(max > 0)) return [0, 1];
  const rough = max / about;
  let power = Math.floor(Math.log10(rough));
  let factor = [1, 2, 5, 10].find((step) => step * 10 ** power >= rough * 0.999_999) ?? 10;
  if (factor === 10) [factor, power] = [1, power + 1];
  if (whole && power < 0) [factor, power] = [1, 0];
  // A power of ten that divides keeps 0.3 from becoming 0.30000000000000004.
  const at = (n: number): number => (power < 0 ? (n * factor) / 10 ** -power : n * factor * 10 ** power);
  const steps = [0];
  while ((steps.at(-1) ?? 0) < max) steps.push(at(steps.length));
  return steps;
}

export interface Bar {
  x: number;
  width: number;
  y: number;
  height: number;
}

/** Where the bars of a chart stand, in its own measures; the largest tick is its full height. */
export function bars(values: readonly number[], top: number, width: number, height: number): Bar[] {
  const slot = width / Math.max(1, values.length);
  const gap = Math.min(slot * 0.3, 8);
  return values.map((value, n) => {
    // What is not nothing can be seen.
    const tall = value > 0 ? Math.max((value / top) * height, 1.5) : 0;
    return { x: n * slot + gap / 2, width: slot - gap, y: height - tall, height: tall };
  });
}

/** Which bars are labelled, so that labels of `label` width do not touch; the last one always. */
export function labelled(count: number, width: number, label: number): number[] {
  if (count === 0) return [];
  const every = Math.max(1, Math.ceil((label * count) / Math.max(width, 1)));
  const found: number[] = [];
  for (let n = count - 1; n >= 0; n -= every) found.push(n);
  return found.reverse();
}
