import { describe, expect, it } from 'vitest';
import { bars, byDay, byModel, daysUntil, labelled, ticks } from './series';

const sums = (credits: number, requests = 1) => {
  return { requests, prompt_tokens: 10, completion_tokens: 5, credits };
};

describe('days', () => {
  it('are those of the server, also across the end of a month and of summer time', () => {
    const now = Date.UTC(2026, 2, 1, 23, 59);
    expect(daysUntil(now, 3)).toEqual(['2026-02-27', '2026-02-28', '2026-03-01']);
    const many = daysUntil(Date.UTC(2026, 9, 30, 0, 1), 90);
    expect(new Set(many).size).toBe(90);
    expect(many.at(-1)).toBe('2026-10-30');
  });

  it('on which nothing happened are there, too', () => {
    const rows = byDay(['2026-11-19', '2026-11-20', '2026-11-21'], [{ day: '2026-11-20', ...sums(2.5) }]);
    expect(rows.map((row) => [row.key, row.credits])).toEqual([
      ['2026-11-19', 0],
      ['2026-11-20', 2.5],
      ['2026-11-21', 0],
    ]);
  });
});

describe('models', () => {
  it('stand by what is measured', () => {
    const series = [
      { model_id: 'a', ...sums(1, 9) },
      { model_id: 'b', ...sums(3, 2) },
    ];
    expect(byModel(series, 'credits').map((row) => row.key)).toEqual(['b', 'a']);
    expect(byModel(series, 'requests').map((row) => row.key)).toEqual(['a', 'b']);
  });

  it('beyond the first few are one, summed exactly', () => {
    const series = Array.from({ length: 12 }, (_, n) => {
      return { model_id: `m${n}`, ...sums(n < 7 ? 100 - n : 0.1) };
    });
    const rows = byModel(series, 'credits', 8);
    expect(rows).toHaveLength(8);
    expect(rows.at(-1)).toMatchObject({ key: '', credits: 0.5, requests: 5 });
  });
});

describe('the scale', () => {
  it('has round steps that reach the largest value', () => {
    expect(ticks(10)).toEqual([0, 5, 10]);
    expect(ticks(7)).toEqual([0, 2, 4, 6, 8]);
    expect(ticks(0.3)).toEqual([0, 0.1, 0.2, 0.3]);
    expect(ticks(0.000_004)).toEqual([0, 0.000_001, 0.000_002, 0.000_003, 0.000_004]);
    expect(ticks(123_456)).toEqual([0, 50_000, 100_000, 150_000]);
    for (const max of [0.01, 0.7, 1, 3, 9.99, 42, 1_001, 5e8]) {
      const steps = ticks(max);
      expect(steps.at(-1)).toBeGreaterThanOrEqual(max);
      expect(steps.at(-2)).toBeLessThan(max);
      expect(steps.length).toBeLessThanOrEqual(6);
    }
  });

  it('counts in whole numbers what is counted', () => {
    expect(ticks(2, true)).toEqual([0, 1, 2]);
    expect(ticks(1, true)).toEqual([0, 1]);
  });

  it('is there without values', () => {
    expect(ticks(0)).toEqual([0, 1]);
    expect(ticks(Number.NaN)).toEqual([0, 1]);
  });
});

describe('bars', () => {
  it('fill the width, and the largest its share of the height', () => {
    const made = bars([0, 5, 10, 0.000_1], 10, 400, 100);
    expect(made[0]).toMatchObject({ height: 0, y: 100 });
    expect(made[1]).toMatchObject({ height: 50, y: 50 });
    expect(made[2]).toMatchObject({ height: 100, y: 0 });
    expect(made[3]?.height).toBe(1.5);
    expect((made[3]?.x ?? 0) + (made[3]?.width ?? 0)).toBeLessThanOrEqual(400);
    expect(bars([], 1, 400, 100)).toEqual([]);
  });

  it('have labels that do not touch, today always', () => {
    expect(labelled(7, 700, 60)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const few = labelled(90, 320, 60);
    expect(few.at(-1)).toBe(89);
    expect(few.length).toBeLessThanOrEqual(Math.ceil(320 / 60));
    expect(labelled(0, 300, 60)).toEqual([]);
  });
});
