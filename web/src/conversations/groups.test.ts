import { describe, expect, it } from 'vitest';
import { groupOf, HEADING, headings, heightOf, ROW, topOf, visible } from './groups';

const now = new Date(2026, 10, 21, 9, 30);
const at = (...parts: [number, number, number, number?]): string => new Date(...parts).toISOString();

describe('groups by day', () => {
  it('go by the local calendar, not by hours', () => {
    expect(groupOf(at(2026, 10, 21, 0), false, now)).toBe('today');
    expect(groupOf(at(2026, 10, 20, 23), false, now)).toBe('yesterday');
    expect(groupOf(at(2026, 10, 19, 23), false, now)).toBe('week');
    expect(groupOf(at(2026, 10, 14, 1), false, now)).toBe('week');
    expect(groupOf(at(2026, 10, 13, 23), false, now)).toBe('month');
    expect(groupOf(at(2026, 9, 22), false, now)).toBe('month');
    expect(groupOf(at(2026, 9, 21), false, now)).toBe('2026-10');
    expect(groupOf(at(2025, 0, 1), false, now)).toBe('2025-1');
    expect(groupOf(at(2020, 0, 1), true, now)).toBe('pinned');
    // A clock that runs ahead.
    expect(groupOf(at(2026, 10, 22), false, now)).toBe('today');
  });
});

describe('the list', () => {
  const total = 50_000;
  const groups = (row: number): 'pinned' | 'today' | null =>
    row < 3 ? 'pinned' : row < 200 ? 'today' : null;
  const heads = headings(total, groups, (group) => group, [
    [100, 200],
    [0, 100],
  ]);

  it('has headings where the group changes, in what is loaded', () => {
    expect(heads).toEqual([
      { at: 0, label: 'pinned' },
      { at: 3, label: 'today' },
    ]);
    // A part in the middle begins with one: what is above it is unknown.
    expect(
      headings(
        total,
        (row) => (row >= 300 ? 'week' : null),
        (group) => group,
        [[300, 400]],
      ),
    ).toEqual([{ at: 300, label: 'week' }]);
  });

  it('places rows below their headings', () => {
    expect(topOf(0, heads)).toBe(HEADING);
    expect(topOf(2, heads)).toBe(HEADING + 2 * ROW);
    expect(topOf(3, heads)).toBe(2 * HEADING + 3 * ROW);
    expect(heightOf(total, heads)).toBe(total * ROW + 2 * HEADING);
  });

  it('shows exactly what can be seen and a little more', () => {
    for (const top of [0, 100, 5_000, 900_000, heightOf(total, heads) - 600]) {
      const [from, to] = visible(top, 600, total, heads, 8);
      expect(to - from).toBeLessThan(40);
      expect(topOf(from, heads)).toBeLessThanOrEqual(Math.max(top, HEADING));
      expect(topOf(to - 1, heads) + ROW).toBeGreaterThanOrEqual(Math.min(top + 600, heightOf(total, heads)));
    }
    expect(visible(0, 600, 0, [])).toEqual([0, 0]);
    expect(visible(0, 600, 2, heads)).toEqual([0, 2]);
  });
});
