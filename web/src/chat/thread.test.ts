import { describe, expect, it } from 'vitest';
import type { MessageView } from '../api/client';
import {
  before,
  hasOlder,
  heightOf,
  joins,
  pageOf,
  siblings,
  unanswered,
  upTo,
  withNewer,
  withNewest,
  withOlder,
} from './thread';

function row(id: string, parent: string | null, depth: number, ids: string[] = [id]): MessageView {
  return {
    id,
    parent_id: parent,
    depth,
    conversation_id: 'c',
    role: depth % 2 === 0 ? 'user' : 'assistant',
    content: id,
    status: 'complete',
    created_at: '2026-01-01T00:00:00Z',
    sibling_ids: ids,
    sibling_index: ids.indexOf(id),
  };
}

function branch(ids: string[], from = 0, above: string | null = null): MessageView[] {
  return ids.map((id, at) => row(id, at === 0 ? above : (ids[at - 1] as string), from + at));
}
const ids = (rows: readonly MessageView[]): string[] => rows.map((one) => one.id);

describe('the newest page', () => {
  it('joins on below what is loaded', () => {
    const loaded = branch(['a', 'b', 'c', 'd']);
    expect(ids(withNewest(loaded, branch(['c', 'd', 'e', 'f'], 2, 'b')))).toEqual([
      'a',
      'b',
      'c',
      'd',
      'e',
      'f',
    ]);
    expect(ids(withNewest(loaded, branch(['e', 'f'], 4, 'd')))).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('replaces what is on another branch', () => {
    const loaded = branch(['a', 'b', 'c', 'd']);
    expect(ids(withNewest(loaded, branch(['C', 'D'], 2, 'b')))).toEqual(['a', 'b', 'C', 'D']);
    expect(ids(withNewest(loaded, branch(['A', 'B'])))).toEqual(['A', 'B']);
  });

  it('stands alone when too much has happened in between', () => {
    expect(ids(withNewest(branch(['a', 'b']), branch(['y', 'z'], 8, 'x')))).toEqual(['y', 'z']);
    expect(withNewest(branch(['a', 'b']), [])).toEqual([]);
  });

  it('keeps the objects of messages that are as they were', () => {
    const loaded = branch(['a', 'b', 'c']);
    const next = withNewest(loaded, [...branch(['a', 'b']), row('c', 'b', 2, ['c', 'c2'])]);
    expect(next[0]).toBe(loaded[0]);
    expect(next[1]).toBe(loaded[1]);
    expect(next[2]).not.toBe(loaded[2]);
    expect(next[2]?.sibling_ids).toEqual(['c', 'c2']);
  });
});

describe('an older page', () => {
  it('goes above, if it belongs there', () => {
    const loaded = branch(['c', 'd'], 2, 'b');
    expect(hasOlder(loaded)).toBe(true);
    const whole = withOlder(loaded, branch(['a', 'b']));
    expect(ids(whole)).toEqual(['a', 'b', 'c', 'd']);
    expect(hasOlder(whole)).toBe(false);
    // The branch was changed while it was on its way.
    expect(withOlder(loaded, branch(['a', 'B']))).toBe(loaded);
  });
});

describe('siblings', () => {
  it('have neighbours on both sides, or none', () => {
    const all = ['x', 'y', 'z'];
    expect(siblings(row('x', null, 0, all))).toEqual({ index: 0, count: 3, previous: null, next: 'y' });
    expect(siblings(row('y', null, 0, all))).toEqual({ index: 1, count: 3, previous: 'x', next: 'z' });
    expect(siblings(row('z', null, 0, all))).toEqual({ index: 2, count: 3, previous: 'y', next: null });
    expect(siblings(row('q', null, 0))).toEqual({ index: 0, count: 1, previous: null, next: null });
  });
});

describe('a branch', () => {
  it('is cut where an answer is being written', () => {
    const rows = branch(['a', 'b', 'c', 'd']);
    expect(ids(upTo(rows, 'c'))).toEqual(['a', 'b', 'c']);
    expect(upTo(rows, null)).toEqual([]);
    expect(upTo(rows, 'unknown')).toBe(rows);
    expect(ids(before(rows, 'c'))).toEqual(['a', 'b']);
    expect(before(rows, 'a')).toEqual([]);
    expect(before(rows, 'unknown')).toEqual([]);
  });

  it('tells of the prompt that nobody has answered', () => {
    expect(unanswered(branch(['a', 'b', 'c']))?.id).toBe('c');
    expect(unanswered(branch(['a', 'b']))).toBeNull();
    expect(unanswered([])).toBeNull();
  });

  it('knows how many pages from its end reach a depth', () => {
    expect(pageOf(99, 100, 100)).toBe(1);
    expect(pageOf(0, 100, 100)).toBe(1);
    expect(pageOf(0, 101, 100)).toBe(2);
    expect(pageOf(0, 10_000, 100)).toBe(100);
    expect(pageOf(5, 3, 100)).toBe(1);
  });
});

describe('a newer page', () => {
  const loaded = branch(['a', 'b', 'c']);

  it('joins on below what is loaded', () => {
    expect(ids(withNewer(loaded, branch(['d', 'e'], 3, 'c')) ?? [])).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(ids(withNewer(loaded, branch(['b', 'c', 'd'], 1, 'a')) ?? [])).toEqual(['a', 'b', 'c', 'd']);
    expect(withNewer(loaded, branch(['e', 'f'], 4, 'd'))).toBeNull();
  });

  it('meets what is loaded, or does not', () => {
    expect(joins(loaded, branch(['c', 'd'], 2, 'b'))).toBe(true);
    expect(joins(loaded, branch(['d'], 3, 'c'))).toBe(true);
    expect(joins(loaded, branch(['e'], 4, 'd'))).toBe(false);
    expect(joins([], branch(['e'], 4, 'd'))).toBe(true);
  });
});

it('long texts and narrow views make high rows', () => {
  const text = 'x'.repeat(900);
  expect(heightOf(text, 400)).toBeGreaterThan(heightOf(text, 1200));
  expect(heightOf(text, 400)).toBeGreaterThan(heightOf('x', 400));
  expect(heightOf('a\nb\nc', 400)).toBeGreaterThan(heightOf('abc', 400));
});
