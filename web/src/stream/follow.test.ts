import { describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/error';
import { begin, type Answer } from './answer';
import { follow, type FollowOptions, type Wake } from './follow';
import type { Place, Places } from './places';

const LOG = [
  { kind: 'start', data: { run_id: 'r', message_id: 'm' } },
  ...['One ', 'two ', 'three ', 'four.'].map((text) => ({ kind: '', data: { text } })),
  { kind: 'end', data: { end_reason: 'stop', message: null } },
].map(
  (event, at) =>
    `${event.kind ? `event: ${event.kind}\n` : ''}data: ${JSON.stringify(event.data)}\nid: 1-${at + 1}\n\n`,
);

type Way = 'close' | 'break' | 'hang';

/** A response with some of the log, and then what happens to the connection. */
function response(from: number, to: number, way: Way, signal: AbortSignal): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(LOG.slice(from, to).join('')));
      if (way === 'close') controller.close();
      // After a moment, so that what was sent is read first.
      else if (way === 'break') setTimeout(() => controller.error(new TypeError('network')), 5);
      signal.addEventListener('abort', () => controller.error(signal.reason), { once: true });
    },
  });
  return new Response(body);
}

function sleeper(): Wake & { wake: () => void; waiting: () => number } {
  const callbacks = new Set<() => void>();
  return {
    onWake(callback) {
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    wake: () => [...callbacks].forEach((callback) => callback()),
    waiting: () => callbacks.size,
  };
}

interface Seen {
  opened: number;
  resumed: (string | null)[];
  texts: string[];
  connected: boolean[];
}

function options(seen: Seen, over: Partial<FollowOptions>): FollowOptions {
  return {
    open: () => Promise.reject(new Error('not expected')),
    resume: () => Promise.reject(new Error('not expected')),
    answer: begin(),
    onAnswer: (answer) => seen.texts.push(answer.text),
    onConnected: (connected) => seen.connected.push(connected),
    signal: new AbortController().signal,
    wake: sleeper(),
    firstWait: 1,
    ...over,
  };
}

const nothing = (): Seen => ({ opened: 0, resumed: [], texts: [], connected: [] });
const finished = (answer: Answer): void => {
  expect(answer.text).toBe('One two three four.');
  expect(answer.end?.reason).toBe('stop');
};

describe('following a run', () => {
  it('goes on after the last event, wherever the connection ended or broke', async () => {
    for (const way of ['close', 'break'] as const) {
      for (let cut = 1; cut < LOG.length; cut++) {
        const seen = nothing();
        const answer = await follow(
          options(seen, {
            open: async (signal) => {
              seen.opened += 1;
              return response(0, cut, way, signal);
            },
            resume: async (run, after, signal) => {
              expect(run).toBe('r');
              seen.resumed.push(after);
              return response(Number(after?.slice(2)), LOG.length, 'close', signal);
            },
          }),
        );
        finished(answer);
        expect(seen.opened).toBe(1);
        expect(seen.resumed).toEqual([`1-${cut}`]);
        expect(seen.connected).toEqual([true, false, true]);
      }
    }
  });

  it('loses its connection after every single event and still gets each once', async () => {
    const seen = nothing();
    finished(
      await follow(
        options(seen, {
          open: async (signal) => response(0, 1, 'break', signal),
          resume: async (_, after, signal) => {
            seen.resumed.push(after);
            const at = Number(after?.slice(2));
            return response(at, at + 1, 'break', signal);
          },
        }),
      ),
    );
    expect(seen.resumed).toEqual(['1-1', '1-2', '1-3', '1-4', '1-5']);
  });

  it('does not wait for silence when the network is known to be gone', async () => {
    const seen = nothing();
    let lost = (): void => {};
    const wake: Wake = {
      ...sleeper(),
      onLost(callback) {
        lost = callback;
        return () => (lost = () => {});
      },
    };
    const answer = await follow(
      options(seen, {
        wake,
        open: async (signal) => {
          setTimeout(() => lost(), 5);
          return response(0, 3, 'hang', signal);
        },
        resume: async (_, after, signal) => {
          seen.resumed.push(after);
          return response(Number(after?.slice(2)), LOG.length, 'close', signal);
        },
      }),
    );
    finished(answer);
    expect(seen.resumed).toEqual(['1-3']);
    expect(seen.connected).toEqual([true, false, true]);
  });

  it('sends again, with the same key as it is the same closure, when the server was not reached', async () => {
    const seen = nothing();
    const answer = await follow(
      options(seen, {
        open: async (signal) => {
          seen.opened += 1;
          if (seen.opened < 4) throw new ApiError(0, 'network', '');
          return response(0, LOG.length, 'close', signal);
        },
      }),
    );
    finished(answer);
    expect(seen.opened).toBe(4);
  });

  it('asks again for what it does not know when not even the first event came', async () => {
    const seen = nothing();
    finished(
      await follow(
        options(seen, {
          open: async (signal) => {
            seen.opened += 1;
            return response(0, seen.opened === 1 ? 0 : LOG.length, 'close', signal);
          },
        }),
      ),
    );
    expect(seen.opened).toBe(2);
  });

  it('does not insist on what was refused', async () => {
    for (const [status, code] of [
      [402, 'insufficient_credits'],
      [409, 'conversation_busy'],
      [422, 'context_too_long'],
      [429, 'rate_limited'],
      [503, 'no_model'],
    ] as const) {
      const seen = nothing();
      const refused = follow(
        options(seen, {
          open: () => {
            seen.opened += 1;
            return Promise.reject(new ApiError(status, code, '', [], 3));
          },
        }),
      );
      await expect(refused).rejects.toMatchObject({ status, code, retryAfter: 3 });
      expect(seen.opened).toBe(1);
    }
  });

  it('goes on through a restart of the server, and gives up when the run is gone', async () => {
    const seen = nothing();
    const errors = [
      new ApiError(503, 'shutting_down', ''),
      new ApiError(0, 'network', ''),
      new ApiError(429, 'rate_limited', '', [], 0),
    ];
    finished(
      await follow(
        options(seen, {
          open: async (signal) => response(0, 2, 'break', signal),
          resume: async (_, after, signal) => {
            const error = errors.shift();
            if (error) throw error;
            return response(Number(after?.slice(2)), LOG.length, 'close', signal);
          },
        }),
      ),
    );
    const gone = follow(
      options(nothing(), {
        open: async (signal) => response(0, 2, 'break', signal),
        resume: () => Promise.reject(new ApiError(404, 'not_found', '')),
      }),
    );
    await expect(gone).rejects.toMatchObject({ status: 404 });
  });

  it('notices a connection that has gone silent', async () => {
    const seen = nothing();
    finished(
      await follow(
        options(seen, {
          silence: 30,
          open: async (signal) => response(0, 3, 'hang', signal),
          resume: async (_, after, signal) => {
            seen.resumed.push(after);
            return response(Number(after?.slice(2)), LOG.length, 'close', signal);
          },
        }),
      ),
    );
    expect(seen.resumed).toEqual(['1-3']);
  });

  it('tries at once when the network is back', async () => {
    const seen = nothing();
    const wake = sleeper();
    const done = follow(
      options(seen, {
        wake,
        firstWait: 3_600_000,
        open: async (signal) => response(0, 2, 'break', signal),
        resume: async (_, after, signal) => response(Number(after?.slice(2)), LOG.length, 'close', signal),
      }),
    );
    while (seen.connected.length < 2 || wake.waiting() === 0)
      await new Promise((resolve) => setTimeout(resolve, 1));
    wake.wake();
    finished(await done);
  });

  it('ends when it is given up', async () => {
    const seen = nothing();
    const stop = new AbortController();
    const done = follow(
      options(seen, { signal: stop.signal, open: async (signal) => response(0, 3, 'hang', signal) }),
    );
    while (seen.texts.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    stop.abort();
    await expect(done).rejects.toMatchObject({ name: 'AbortError' });
  });

  describe('with places', () => {
    /** Places that a test gives and takes. */
    function table() {
      const wanted = new Set<() => void>();
      const waiting: ((place: Place) => void)[] = [];
      const left = vi.fn();
      const place = (): Place => ({
        leave: left,
        onWanted(callback) {
          wanted.add(callback);
          return () => wanted.delete(callback);
        },
      });
      return {
        left,
        waiting,
        give: () => waiting.shift()?.(place()),
        want: () => [...wanted].forEach((callback) => callback()),
        places: (free: boolean): Places => ({
          now: () => Promise.resolve(free ? place() : null),
          wait: () => new Promise((resolve) => waiting.push(resolve)),
        }),
      };
    }

    it('gives its own up when it is wanted, and goes on where it was', async () => {
      const seen = nothing();
      const { places, want, waiting, give, left } = table();
      const done = follow(
        options(seen, {
          places: places(true),
          open: (signal) => Promise.resolve(response(0, 3, 'hang', signal)),
          resume: (_, after, signal) => {
            seen.resumed.push(after);
            return Promise.resolve(response(3, LOG.length, 'close', signal));
          },
        }),
      );
      await vi.waitFor(() => expect(seen.texts.at(-1)).toBe('One two '));
      // Sent and begun, it stays for as long as nobody wants its place.
      expect(waiting).toHaveLength(0);
      want();
      await vi.waitFor(() => expect(waiting).toHaveLength(1));
      expect(left).toHaveBeenCalledOnce();
      expect(seen.resumed).toEqual([]);
      give();
      finished(await done);
      expect(seen.resumed).toEqual(['1-3']);
      // Nobody was told that anything is wrong.
      expect(seen.connected).not.toContain(false);
      expect(left).toHaveBeenCalledTimes(2);
    });

    it('is left at once by what was sent when there is none, but only when it has begun', async () => {
      const seen = nothing();
      const { places, waiting, give } = table();
      const done = follow(
        options(seen, {
          places: places(false),
          open: (signal) => Promise.resolve(response(0, 2, 'hang', signal)),
          resume: (run, after, signal) => {
            seen.resumed.push(`${run} ${after}`);
            return Promise.resolve(response(2, LOG.length, 'close', signal));
          },
        }),
      );
      await vi.waitFor(() => expect(waiting).toHaveLength(1));
      give();
      finished(await done);
      expect(seen.resumed).toEqual(['r 1-2']);
    });
  });
});
