import { describe, expect, it, vi } from 'vitest';
import { unhurried } from './frame';

describe('work that may wait', () => {
  it('comes in its order, one in a frame that has no more time, and goes on after one that fails', async () => {
    const frames: number[] = [];
    let frame = 0;
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('visible');
    vi.stubGlobal('requestAnimationFrame', (next: () => void) => {
      frame += 1;
      setTimeout(next);
      return frame;
    });
    const long = (n: number) => (): number => {
      frames.push(frame);
      const until = performance.now() + 6;
      while (performance.now() < until);
      if (n === 1) throw new Error('not a formula');
      return n;
    };
    const done = await Promise.allSettled([0, 1, 2, 3].map((n) => unhurried(long(n))));
    expect(done.map((one) => one.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(done[3]).toMatchObject({ value: 3 });
    expect(new Set(frames).size).toBe(4);
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });
});
