import { expect, it } from 'vitest';
import { endOfDay } from './expiry';
import { special } from './members';

it('credits are good through the day that is chosen, where one is', () => {
  const now = new Date(2026, 10, 21, 9, 30).getTime();
  expect(endOfDay('', now)).toBeNull();
  expect(endOfDay('2026-11-21', now)).toBe(new Date(2026, 10, 21, 23, 59, 59).toISOString());
  expect(endOfDay('2027-01-01', now)).toBe(new Date(2027, 0, 1, 23, 59, 59).toISOString());
  for (const wrong of ['2026-11-20', '2027-02-30', '21.11.2026', 'soon']) {
    expect(endOfDay(wrong, now)).toBeUndefined();
  }
});

it('names the roles that not everybody has, the most powerful first', () => {
  expect(special(['user'])).toEqual([]);
  expect(special(['user', 'supervisor', 'operator', 'admin'])).toEqual(['operator', 'admin', 'supervisor']);
});
