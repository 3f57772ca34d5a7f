// Until when credits are good.

/**
 * The last moment of a day as a date field has it (2026-11-21), here: credits are good
 * through that day. Null without one, undefined when it is over or no date.
 */
export function endOfDay(day: string, now: number): string | null | undefined {
  if (day === '') return null;
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day);
  if (!parts) return undefined;
  const [year, month, date] = parts.slice(1).map(Number) as [number, number, number];
  const end = new Date(year, month - 1, date, 23, 59, 59);
  if (end.getMonth() !== month - 1 || end.getTime() <= now) return undefined;
  return end.toISOString();
}
