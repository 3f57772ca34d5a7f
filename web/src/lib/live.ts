// What changes elsewhere (other tabs, other devices): one tab reads GET /events
// and tells the others. Nothing is resumed; whoever was away fetches again.
import { stream } from '../api/client';
import { asApiError } from '../api/error';
import { read } from '../stream/parser';

export type Live =
  | { kind: 'ready' }
  | { kind: 'session'; id: string; change: 'created' | 'updated' | 'deleted' }
  | { kind: 'run'; run_id: string; run_kind: string; session_id: string; state: 'running' | 'ended' }
  | { kind: 'credits'; balance: number; held: number };

type Listener = (event: Live) => void;

const SILENCE = 40_000;
const listeners = new Set<Listener>();
const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('tertulia:live');
let running: AbortController | null = null;

/** Calls back for every change; answers how to stop. */
export function onLive(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(event: Live): void {
  for (const listener of listeners) listener(event);
}

if (channel) channel.onmessage = (message: MessageEvent) => tell(message.data as Live);

/** Begins to listen, as leader or behind one, until `stopLive`. */
export function startLive(): void {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  if (!navigator.locks) {
    void lead(signal).catch(() => {});
    return;
  }
  // The lock goes to the next tab when this one closes.
  navigator.locks.request('tertulia:live', { signal }, () => lead(signal)).catch(() => {});
}

export function stopLive(): void {
  running?.abort();
  running = null;
}

async function lead(signal: AbortSignal): Promise<void> {
  let wait = 500;
  while (!signal.aborted) {
    try {
      await listen(signal, () => (wait = 500));
    } catch (error) {
      const problem = asApiError(error);
      if (problem.status === 401) return;
      // A server without this endpoint is not asked again and again.
      if (problem.status === 404) wait = 60_000;
      else if (problem.retryAfter !== null) wait = Math.max(wait, problem.retryAfter * 1000);
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
    for await (const events of read(response, () => (heard = Date.now()))) {
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
    const timer = setTimeout(done, ms);
    addEventListener('online', done);
    signal.addEventListener('abort', done);
  });
}
