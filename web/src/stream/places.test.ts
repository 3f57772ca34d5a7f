import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { tabPlaces, type Place } from './places';

interface Held {
  name: string;
  release: () => void;
}
interface Waiting {
  name: string;
  grant: () => void;
}

/** What all tabs of a browser share, as the Web Locks API has it. */
class Locks {
  held: Held[] = [];
  waiting: Waiting[] = [];

  request = (
    name: string,
    options: LockOptions,
    work: (lock: object | null) => unknown,
  ): Promise<unknown> => {
    const taken = this.held.some((one) => one.name === name) || this.waiting.some((one) => one.name === name);
    if (taken && options.ifAvailable) return Promise.resolve(work(null));
    return new Promise((resolve, reject) => {
      const grant = (): void => {
        const one = { name, release: () => {} };
        this.held.push(one);
        void Promise.resolve(work({ name })).then((value) => {
          this.held = this.held.filter((other) => other !== one);
          const next = this.waiting.find((other) => other.name === name);
          this.waiting = this.waiting.filter((other) => other !== next);
          next?.grant();
          resolve(value);
        });
      };
      if (!taken) return grant();
      const one = { name, grant };
      this.waiting.push(one);
      options.signal?.addEventListener('abort', () => {
        this.waiting = this.waiting.filter((other) => other !== one);
        reject(options.signal?.reason as Error);
      });
    });
  };

  query = (): Promise<{ pending: { name: string }[] }> =>
    Promise.resolve({ pending: this.waiting.map(({ name }) => ({ name })) });
}

let state: DocumentVisibilityState = 'visible';
function show(now: DocumentVisibilityState): void {
  state = now;
  document.dispatchEvent(new Event('visibilitychange'));
}

const never = new AbortController().signal;
async function all(): Promise<Place[]> {
  return (await Promise.all([tabPlaces.now(), tabPlaces.now(), tabPlaces.now()])).map((one) => one as Place);
}

describe('places for connections', () => {
  let locks: Locks;
  beforeEach(() => {
    vi.useFakeTimers();
    locks = new Locks();
    Object.defineProperty(navigator, 'locks', { value: locks, configurable: true });
    Object.defineProperty(document, 'visibilityState', { get: () => state, configurable: true });
    state = 'visible';
  });
  afterEach(() => {
    vi.useRealTimers();
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true });
  });

  it('are three, and come back', async () => {
    const places = await all();
    expect(places.every(Boolean)).toBe(true);
    expect(await tabPlaces.now()).toBeNull();
    places[1]?.leave();
    await vi.advanceTimersByTimeAsync(0);
    expect(await tabPlaces.now()).not.toBeNull();
    expect(await tabPlaces.now()).toBeNull();
  });

  it('are left in turn while others wait, and not before', async () => {
    const places = await all();
    const wanted = vi.fn();
    const stop = places.map((place) => place.onWanted(() => wanted(place)));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(wanted).not.toHaveBeenCalled();
    const fourth = tabPlaces.wait(never);
    await vi.advanceTimersByTimeAsync(1_100);
    expect(new Set(wanted.mock.calls.map(([place]) => place as Place)).size).toBe(1);
    (wanted.mock.calls[0]?.[0] as Place).leave();
    await expect(fourth).resolves.toBeDefined();
    stop.forEach((each) => each());
  });

  it('are left by a tab that nobody looks at, but not at a glance away', async () => {
    const place = (await tabPlaces.now()) as Place;
    const wanted = vi.fn();
    const stop = place.onWanted(wanted);
    show('hidden');
    await vi.advanceTimersByTimeAsync(1_000);
    show('visible');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(wanted).not.toHaveBeenCalled();
    show('hidden');
    await vi.advanceTimersByTimeAsync(2_100);
    expect(wanted).toHaveBeenCalledOnce();
    stop();
  });

  it('are not given to a tab that nobody looks at', async () => {
    show('hidden');
    const given = vi.fn();
    void tabPlaces.wait(never).then(given);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(given).not.toHaveBeenCalled();
    show('visible');
    await vi.advanceTimersByTimeAsync(0);
    expect(given).toHaveBeenCalledOnce();
  });

  it('are not waited for any longer when that is given up', async () => {
    await all();
    const stop = new AbortController();
    const fourth = tabPlaces.wait(stop.signal);
    await vi.advanceTimersByTimeAsync(0);
    expect(locks.waiting).toHaveLength(1);
    stop.abort();
    await expect(fourth).rejects.toThrow();
    expect(locks.waiting).toHaveLength(0);
  });

  it('without locks are there for every tab that is looked at', async () => {
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true });
    for (let n = 0; n < 5; n++) await expect(tabPlaces.wait(never)).resolves.toBeDefined();
  });
});
