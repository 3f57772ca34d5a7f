// Over HTTP/1.1 a browser opens six connections to a server, for all tabs together.
// Three of them may be answers that are read: a tab that is not looked at gives its
// place up, and where more are looked at than there are places they take turns.
// Nothing is lost by that: the log of an answer is read on from where one was.

const PLACES = 3;
/** Milliseconds somebody may look away, and between two looks at whether others wait. */
const GRACE = 2_000;
const TURN = 1_000;

export interface Place {
  leave: () => void;
  /** Calls back when it should be left; answers how to stop that. */
  onWanted: (callback: () => void) => () => void;
}

export interface Places {
  /** One that is free now; null where there is none. */
  now: () => Promise<Place | null>;
  /** One as soon as somebody looks and one is free. */
  wait: (signal: AbortSignal) => Promise<Place>;
}

const nameOf = (n: number): string => `tertulia:stream:${n}`;
const hidden = (): boolean => document.visibilityState === 'hidden';

/** Holds a lock until what it answers is called; null when it is not free and must not be waited for. */
function hold(name: string, options: LockOptions): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, options, (lock) =>
        lock ? new Promise<void>((release) => resolve(release)) : resolve(null),
      )
      .catch(reject);
  });
}

function place(name: string | null, leave: () => void): Place {
  return {
    leave,
    onWanted(callback) {
      let away: ReturnType<typeof setTimeout> | undefined;
      const seen = (): void => {
        clearTimeout(away);
        if (hidden()) away = setTimeout(callback, GRACE);
      };
      const look = async (): Promise<void> => {
        const { pending } = await navigator.locks.query();
        if (pending?.some((lock) => lock.name === name)) callback();
      };
      const timer = name === null ? undefined : setInterval(() => void look(), TURN);
      document.addEventListener('visibilitychange', seen);
      seen();
      return () => {
        clearTimeout(away);
        clearInterval(timer);
        document.removeEventListener('visibilitychange', seen);
      };
    },
  };
}

/** When the page is looked at. */
export function looked(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = (): void => {
      if (signal.aborted) reject(signal.reason);
      else if (hidden()) return;
      else resolve();
      document.removeEventListener('visibilitychange', check);
      signal.removeEventListener('abort', check);
    };
    document.addEventListener('visibilitychange', check);
    signal.addEventListener('abort', check);
    check();
  });
}

async function free(): Promise<Place | null> {
  // Only over https (and at home) can tabs agree; without, each has a place while it is looked at.
  if (!navigator.locks) return place(null, () => {});
  for (let n = 0; n < PLACES; n++) {
    const leave = await hold(nameOf(n), { ifAvailable: true });
    if (leave) return place(nameOf(n), leave);
  }
  return null;
}

export const tabPlaces: Places = {
  now: free,
  async wait(signal) {
    for (;;) {
      await looked(signal);
      const one = await free();
      if (one) return one;
      const name = nameOf(Math.floor(Math.random() * PLACES));
      const leave = await hold(name, { signal });
      if (!leave) continue;
      if (!hidden()) return place(name, leave);
      leave();
    }
  },
};
