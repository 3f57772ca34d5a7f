// How what is measured is called and written.
import { credits, date, number, t, type Key } from '../lib/i18n.svelte';
import type { Measure } from './series';

const LABELS: Record<Measure, Key> = {
  credits: 'usage.credits',
  tokens: 'usage.tokens',
  requests: 'usage.requests',
};

export function measureLabel(measure: Measure): string {
  return t(LABELS[measure]);
}

export function amount(value: number, measure: Measure): string {
  return measure === 'credits' ? credits(value) : number(value);
}

/** For an axis: short. */
export function tick(value: number, measure: Measure): string {
  if (measure === 'credits' && value < 1) return number(value, { maximumSignificantDigits: 3 });
  return number(value, { notation: 'compact', maximumFractionDigits: 1 });
}

/** A day of the server, which counts in UTC. */
export function day(key: string, options: Intl.DateTimeFormatOptions = {}): string {
  return date(`${key}T00:00:00Z`, { day: 'numeric', month: 'short', ...options, timeZone: 'UTC' });
}
