// The one way requests leave the page: cookies along, problems as ApiError, one
// unseen renewal of the session on 401 (shared by all tabs), idempotency keys.
import { turn } from '../lib/frame';
import { ApiError, problemOf } from './error';

/** Milliseconds after which an answer that nobody took up is too old. */
const EARLY = 10_000;
const RENEWED = 'tertulia:renewed';
const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('tertulia:session');
/** Renewing these would not help, or would go in circles. */
const PLAIN = /^\/auth\/(login|register|refresh)$/;

/** As it is in the answers that begin or renew a session. */
export interface Someone {
  id: string;
}

let onSignedOut: () => void = () => {};
let onSignedIn: (id: string) => void = () => {};
let onRenewed: (user: Someone) => void = () => {};

/** Called when the session is over, in this tab or another. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

/** Called when somebody has signed in in another tab: this tab's requests are theirs as well. */
export function whenSignedIn(callback: (id: string) => void): void {
  onSignedIn = callback;
}

/** Called with whom the session belongs to when it was renewed. */
export function whenRenewed(callback: (user: Someone) => void): void {
  onRenewed = callback;
}

/** Tells the other tabs who is signed in now. */
export function signedIn(id: string): void {
  channel?.postMessage({ in: id });
}

/** Tells this tab and the others that nobody is signed in any more. */
export function signedOut(): void {
  channel?.postMessage('signed-out');
  onSignedOut();
}

if (channel) {
  channel.onmessage = (message: MessageEvent) => {
    if (message.data === 'signed-out') onSignedOut();
    else onSignedIn((message.data as { in: string }).in);
  };
}

function renewedAt(): number {
  try {
    return Number(localStorage.getItem(RENEWED) ?? 0);
  } catch {
    return 0;
  }
}

/** Says that the session is fresh, so that no tab renews it for an older refusal. */
export function markRenewed(): void {
  try {
    localStorage.setItem(RENEWED, String(Date.now()));
  } catch {
    // Without storage each tab renews for itself.
  }
}

async function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request('tertulia:renew', work) : await work();
}

let renewing: Promise<boolean> | null = null;

/** Renews the session unless that happened after `since`; answers whether it is good. */
export function renew(since: number): Promise<boolean> {
  renewing ??= alone(async () => {
    // Another tab did it while this one waited for the lock.
    if (renewedAt() > since) return true;
    const response = await fetch('/auth/refresh', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    });
    if (response.ok) {
      markRenewed();
      const { user } = (await response.json().catch(() => ({}))) as { user?: Someone };
      if (user) onRenewed(user);
    }
    if (response.status >= 500 || response.status === 429) throw await problemOf(response);
    return response.ok;
  }).finally(() => {
    renewing = null;
  });
  return renewing;
}

/** What src/first.js has asked for already; good once, and not for long. */
function early(request: Request): Promise<Response> | undefined {
  const answers = (globalThis as { tertulia?: Record<string, Promise<Response>> }).tertulia;
  if (!answers || request.method !== 'GET') return undefined;
  const { pathname, search } = new URL(request.url);
  const answer = answers[pathname + search];
  delete answers[pathname + search];
  return performance.now() < EARLY ? answer : undefined;
}

async function attempt(request: Request): Promise<Response> {
  try {
    const answer = early(request);
    if (!answer) return await fetch(request);
    // Several are there at once: each is a task of its own, so that none is long.
    await turn();
    return await answer;
  } catch (error) {
    if (request.signal.aborted || (error as Error).name === 'AbortError') throw error;
    throw new ApiError(0, 'network', '');
  }
}

/** As `fetch`, but only for answers that are good; everything else is thrown. */
export async function send(request: Request): Promise<Response> {
  const path = new URL(request.url).pathname;
  const began = Date.now();
  const again = request.clone();
  let response = await attempt(request);
  if (response.status === 401 && !PLAIN.test(path)) {
    let good: boolean;
    try {
      good = await renew(began);
    } catch (error) {
      throw error instanceof ApiError ? error : new ApiError(0, 'network', '');
    }
    if (good) response = await attempt(again);
    if (response.status === 401) signedOut();
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export function idempotencyKey(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  // Only over plain http from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
