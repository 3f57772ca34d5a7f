// Follows a run to its end over any number of connections: after a lost network,
// a sleep, a restart of the server it goes on after the last event it has seen.
import { ApiError, asApiError } from '../api/error';
import { apply, type Answer } from './answer';
import { read } from './parser';
import { tabPlaces, type Place, type Places } from './places';

/** The server sends at least a comment every 15 s; after so much silence the connection is dead. */
const SILENCE = 40_000;
const FIRST_WAIT = 400;
const LONGEST_WAIT = 8_000;

export interface FollowOptions {
  /** The first connection: sending the prompt, or reading a run that is going on. */
  open: (signal: AbortSignal) => Promise<Response>;
  /** Every further one, once the run is known. */
  resume: (runId: string, after: string | null, signal: AbortSignal) => Promise<Response>;
  answer: Answer;
  onAnswer: (answer: Answer) => void;
  /** Whether a connection is there. */
  onConnected?: (connected: boolean) => void;
  signal: AbortSignal;
  /** What may end a wait early or show a connection dead; window and document in the page. */
  wake?: Wake;
  /** Which connections may be kept open. */
  places?: Places;
  silence?: number;
  firstWait?: number;
}

export interface Wake {
  /** Calls back when trying again is worthwhile now; answers how to stop listening. */
  onWake: (callback: () => void) => () => void;
  /** Calls back when the connection cannot be there any more. */
  onLost?: (callback: () => void) => () => void;
}

/** `online`, and the page becoming visible again (after sleep); `offline`, which connections do not notice by themselves. */
export const pageWake: Wake = {
  onWake(callback) {
    const seen = (): void => {
      if (document.visibilityState === 'visible') callback();
    };
    addEventListener('online', callback);
    document.addEventListener('visibilitychange', seen);
    return () => {
      removeEventListener('online', callback);
      document.removeEventListener('visibilitychange', seen);
    };
  },
  onLost(callback) {
    addEventListener('offline', callback);
    return () => removeEventListener('offline', callback);
  },
};

/** What another connection cannot mend. */
function final(error: ApiError, resumed: boolean): boolean {
  if (error.status === 0 || error.status === 429) return error.code === 'unexpected';
  if (error.status >= 500) return !resumed && error.status !== 502 && error.status !== 504;
  return true;
}

/**
 * Reads until the run has ended and answers what it amounts to. Throws what
 * the first connection was refused with, and AbortError when it is given up.
 */
export async function follow(options: FollowOptions): Promise<Answer> {
  const { signal, wake = pageWake, places = tabPlaces, firstWait = FIRST_WAIT } = options;
  let answer = options.answer;
  let opened = false;
  let wait = firstWait;
  for (;;) {
    signal.throwIfAborted();
    let after: number | null = null;
    try {
      const resumed = answer.runId !== null && opened;
      const before = answer;
      // What is sent goes out at once; what is only read waits for its turn.
      const place = answer.runId === null ? null : await places.wait(signal);
      answer = await connection(options, answer, resumed, place, () => {
        opened = true;
        wait = firstWait;
        options.onConnected?.(true);
      });
      if (answer.end) return answer;
      // It ended cleanly but without its end: go on at once if it brought anything.
      if (answer !== before) wait = firstWait;
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof Interrupted) answer = error.answer;
      // Given up for another tab, or because nobody looks: nothing is wrong.
      if (error instanceof Left) continue;
      const problem = error instanceof Interrupted ? null : asApiError(error);
      if (problem && final(problem, opened)) throw problem;
      // Refused before anything began (rate limit): the person decides, not a loop.
      if (problem && !opened && problem.status === 429) throw problem;
      after = problem?.retryAfter ?? null;
    }
    options.onConnected?.(false);
    await pause(after !== null ? after * 1000 : wait, signal, wake);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/** The connection broke; what had arrived by then is kept. */
class Interrupted extends Error {
  constructor(readonly answer: Answer) {
    super('the connection broke');
  }
}

/** The connection was given up while it worked. */
class Left extends Interrupted {}

/** Keeps a connection's place while it is open, and gives the connection up where there is none. */
function seatOf(
  places: Places,
  given: Place | null,
  leave: () => void,
): { claim: () => Promise<void>; end: () => void } {
  let place = given;
  let asked = given !== null;
  let over = false;
  let unwanted = given?.onWanted(leave);
  return {
    async claim() {
      if (asked) return;
      asked = true;
      const free = await places.now();
      if (over) return free?.leave();
      if (!free) return leave();
      place = free;
      unwanted = free.onWanted(leave);
    },
    end() {
      over = true;
      unwanted?.();
      place?.leave();
    },
  };
}

async function connection(
  options: FollowOptions,
  from: Answer,
  resumed: boolean,
  given: Place | null,
  connected: () => void,
): Promise<Answer> {
  const { signal, wake = pageWake, places = tabPlaces, silence = SILENCE } = options;
  let answer = from;
  const own = new AbortController();
  const stop = (): void => own.abort(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  let heard = Date.now();
  const quiet = (): void => {
    if (Date.now() - heard > silence) own.abort(new Interrupted(answer));
  };
  const timer = setInterval(quiet, Math.max(5, silence / 8));
  const unwake = wake.onWake(quiet);
  const unlost = wake.onLost?.(() => own.abort(new Interrupted(answer)));
  const seat = seatOf(places, given, () => own.abort(new Left(answer)));
  try {
    const response =
      resumed && answer.runId
        ? await options.resume(answer.runId, answer.lastId, own.signal)
        : await options.open(own.signal);
    connected();
    heard = Date.now();
    for await (const events of read(response, () => (heard = Date.now()))) {
      const before = answer;
      for (const event of events) answer = apply(answer, event);
      if (answer !== before) options.onAnswer(answer);
      if (answer.end) return answer;
      // The one that sent the prompt stays if there is a place for it.
      if (answer.runId !== null) void seat.claim();
    }
    return answer;
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof ApiError) throw error;
    throw own.signal.reason instanceof Left ? new Left(answer) : new Interrupted(answer);
  } finally {
    seat.end();
    clearInterval(timer);
    unwake();
    unlost?.();
    signal.removeEventListener('abort', stop);
  }
}

function pause(ms: number, signal: AbortSignal, wake: Wake): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      unwake();
      signal.removeEventListener('abort', abort);
      resolve();
    };
    const abort = (): void => {
      clearTimeout(timer);
      unwake();
      reject(signal.reason);
    };
    const timer = setTimeout(done, ms * (0.8 + Math.random() * 0.4));
    const unwake = wake.onWake(done);
    signal.addEventListener('abort', abort, { once: true });
  });
}
