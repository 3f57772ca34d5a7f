// What changes elsewhere (other tabs, other devices): one tab reads GET /events
// and tells the others. Nothing is resumed; whoever was away fetches again.
import { stream } from '../api/client';
import { asApiError } from '../api/error';
import { read } from '../stream/parser';
import { looked } from '../stream/places';

export type Live =
  | { kind: 'ready' }
  | { kind: 'session'; id: string; change: 'created' | 'updated' | 'deleted' }
  | { kind: 'run'; run_id: string; run_kind: string; session_id: string; state: 'running' | 'ended' }
  | { kind: 'credits'; balance: number; held: number };

type Listener = (event: Live) => void;
/** What goes from tab to tab; a beat says that somebody reads. */
type Said = Live | { kind: 'beat' };

const SILENCE = 40_000;
/** A tab that reads and is put to sleep by the browser keeps the lock; after so long another takes it. */
const ASLEEP = 60_000;
const LOCK = 'tertulia:live';
const listeners = new Set<Listener>();
const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('tertulia:live');
let running: AbortController | null = null;
let heardAny = 0;

/** Calls back for every change; answers how to stop. */
export function onLive(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(event: Live): void {
  for (const listener of listeners) listener(event);
}

function beat(): void {
  heardAny = Date.now();
  channel?.postMessage({ kind: 'beat' } satisfies Said);
}

if (channel) {
  channel.onmessage = (message: MessageEvent) => {
    heardAny = Date.now();
    const said = message.data as Said;
    if (said.kind !== 'beat') tell(said);
  };
}

/** Begins to listen, as leader or behind one, until `stopLive`. */
export function startLive(): void {
  if (running) return;
  running = new AbortController();
  void (navigator.locks ? inTurn(running.signal) : whileLooked(running.signal));
}

export function stopLive(): void {
  running?.abort();
  running = null;
}

/** One tab reads for all: the lock goes to the next when it closes, or when it sleeps. */
async function inTurn(signal: AbortSignal): Promise<void> {
  heardAny = Date.now();
  let steal = false;
  while (!signal.aborted) {
    const waiting = new AbortController();
    const leading = new AbortController();
    const stop = (): void => [waiting, leading].forEach((one) => one.abort());
    signal.addEventListener('abort', stop, { once: true });
    const timer = setInterval(() => {
      if (document.visibilityState === 'hidden' || Date.now() - heardAny < ASLEEP) return;
      steal = true;
      waiting.abort();
    }, ASLEEP / 6);
    const options = steal ? { steal } : { signal: waiting.signal };
    steal = false;
    // It rejects when waiting ends, and when the lock is taken away.
    await navigator.locks.request(LOCK, options, () => lead(leading.signal)).catch(() => {});
    clearInterval(timer);
    signal.removeEventListener('abort', stop);
    leading.abort();
    if (!steal) await rest(1_000, signal);
  }
}

/** Where tabs cannot agree (plain http from another machine), only those that are looked at listen. */
async function whileLooked(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await looked(signal).catch(() => {});
    const own = new AbortController();
    const check = (): void => {
      if (signal.aborted || document.visibilityState === 'hidden') own.abort();
    };
    document.addEventListener('visibilitychange', check);
    signal.addEventListener('abort', check);
    await lead(own.signal).catch(() => {});
    document.removeEventListener('visibilitychange', check);
    signal.removeEventListener('abort', check);
    if (!own.signal.aborted) await rest(1_000, signal);
  }
}

async function lead(signal: AbortSignal): Promise<void> {
  let wait = 500;
  while (!signal.aborted) {
    beat();
    try {
      await listen(signal, () => (wait = 500));
    } catch (error) {
      const problem = asApiError(error);
      if (problem.status === 401) return;
      if (problem.retryAfter !== null) wait = Math.max(wait, problem.retryAfter * 1000);
    }
    await rest(wait, signal);
    wait = Math.min(wait * 2, 30_000);
  }
}

async function listen(signal: AbortSignal, connected: () => void): Promise<void> {
  const own = new AbortController();
  const stop = (): void => own.abort();
  signal.addEventListener('abort', stop, { once: true });
  let heard = Date.now();
  const check = (): void => {
    if (Date.now() - heard > SILENCE) own.abort();
  };
  const timer = setInterval(check, 5_000);
  document.addEventListener('visibilitychange', check);
  addEventListener('online', stop);
  try {
    const response = await stream('GET', '/events', { signal: own.signal });
    const alive = (): void => {
      heard = Date.now();
      beat();
    };
    for await (const events of read(response, alive)) {
      connected();
      for (const event of events) {
        const live = { kind: event.kind, ...(JSON.parse(event.data || '{}') as object) } as Live;
        tell(live);
        channel?.postMessage(live);
      }
    }
  } finally {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', check);
    removeEventListener('online', stop);
    signal.removeEventListener('abort', stop);
  }
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeEventListener('online', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    addEventListener('online', done);
    signal.addEventListener('abort', done);
  });
}
