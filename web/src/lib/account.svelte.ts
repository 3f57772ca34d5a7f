// Who is signed in, and the wallet that is shown everywhere.
import { api, data, once, type User } from '../api/client';
import { ApiError } from '../api/error';
import { markRenewed, signedIn, signedOut, whenRenewed, whenSignedIn, whenSignedOut } from '../api/send';
import { dropAllDrafts } from './drafts';
import { onLive, startLive, stopLive } from './live';
import { currentRoute, go } from './router.svelte';
import { forget, load, save } from './storage';

interface Wallet {
  balance: number;
  held: number;
}

function remembered(): User | null {
  try {
    return JSON.parse(load('user') ?? 'null') as User | null;
  } catch {
    return null;
  }
}

/** Undefined until it is known. Remembered, so that the page is there at once. */
let user = $state.raw<User | null | undefined>(remembered() ?? undefined);
let wallet = $state.raw<Wallet | null>(null);

export function currentUser(): User | null | undefined {
  return user;
}

/** Whose this browser is by now: another tab may have signed out, or somebody else in. */
export function storedUser(): string | null {
  return load('user') === null ? null : load('last');
}

export function currentWallet(): Wallet | null {
  return wallet;
}

export function setBalance(balance: number): void {
  wallet = { balance, held: wallet?.held ?? 0 };
}

export function isAdmin(): boolean {
  return user?.roles.includes('admin') ?? false;
}

function setUser(to: User | null): void {
  // Also when nobody was signed in for a while: what was typed then is still here.
  const before = user?.id ?? load('last');
  if (to && before && before !== to.id) return begin(to);
  user = to;
  save('user', to ? JSON.stringify(to) : null);
  if (!to) return stopLive();
  save('last', to.id);
  startLive();
}

/** Somebody else has the session now: nothing of what the page holds is theirs, so it begins anew. */
function begin(to: User | null): void {
  dropAllDrafts();
  forget('model');
  save('user', to ? JSON.stringify(to) : null);
  save('last', to?.id ?? null);
  location.reload();
}

/** The account has changed, as the server told. */
export function showUser(to: User): void {
  if (user && to.id === user.id) setUser({ ...user, ...to });
}

/** Asks the server who this is; called once, at the start. */
export async function loadAccount(): Promise<void> {
  try {
    setUser(await data(api.GET('/auth/me')));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) over();
    else if (user === undefined) throw error;
    else setUser(user);
  }
}

let asked = 0;
/** Fetches the balance; many calls at once are one. */
export async function loadWallet(): Promise<void> {
  const mine = ++asked;
  await Promise.resolve();
  if (mine !== asked || !user) return;
  const found = await data(api.GET('/credits/balance')).catch(() => null);
  if (found && mine === asked) wallet = found;
}

export async function signIn(username: string, password: string): Promise<void> {
  // `cookie`: the tokens stay where scripts cannot read them.
  const body = { username, password, cookie: true };
  const answer = await data(api.POST('/auth/login', { body }));
  markRenewed();
  setUser(answer.user);
  signedIn(answer.user.id);
}

export async function signUp(email: string, password: string, name: string): Promise<void> {
  const display_name = name.trim() || null;
  await data(api.POST('/auth/register', { body: { email, password, display_name }, headers: once() }));
  await signIn(email, password);
}

export async function signOut(): Promise<void> {
  await data(api.POST('/auth/logout', {})).catch(() => undefined);
  leave();
}

/** Forgets on this device what was somebody's; there is no session any more. */
export function leave(): void {
  dropAllDrafts();
  forget('model');
  signedOut();
}

function over(): void {
  setUser(null);
  wallet = null;
  const route = currentRoute();
  if (route.name === 'shared' || route.name === 'sign-in' || route.name === 'sign-up') return;
  go({ name: 'sign-in', next: location.pathname + location.search }, true);
}

whenSignedOut(over);
whenSignedIn((id) => {
  // That tab has kept who it is, and dropped what was somebody else's.
  if (id !== user?.id && currentRoute().name !== 'shared') location.reload();
});
whenRenewed(({ id }) => {
  if (user && id !== user.id) begin(null);
});
onLive((event) => {
  if (event.kind === 'credits') wallet = { balance: event.balance, held: event.held };
  if (event.kind === 'ready') void loadWallet();
});
