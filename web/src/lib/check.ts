// What forms check before the server does, with the server's own limits. A
// problem is the key of its text.
import type { Key } from './i18n.svelte';

/** As the server counts names: characters, not UTF-16 units. */
export function letters(text: string): number {
  return [...text].length;
}

/** As the server counts long texts. */
export function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}

const LONG = 32 * 1024;

export function line(text: string, longest: number, required = true): Key | undefined {
  if (text.trim() === '') return required ? 'form.missing' : undefined;
  return letters(text.trim()) > longest ? 'form.long' : undefined;
}

export function long(text: string, required = false): Key | undefined {
  if (text.trim() === '') return required ? 'form.missing' : undefined;
  return bytes(text) > LONG ? 'form.long.text' : undefined;
}

export function newPassword(text: string): Key | undefined {
  if (letters(text) < 8) return 'auth.password.short';
  return letters(text) > 256 ? 'form.long' : undefined;
}

/** Empty is fine: one need not have one. */
export function userName(text: string): Key | undefined {
  const name = text.trim();
  return name === '' || /^[a-z0-9._-]{2,64}$/i.test(name) ? undefined : 'account.username.invalid';
}

/** Only what is wrong. */
export function problems<K extends string>(all: Record<K, Key | undefined>): Partial<Record<K, Key>> {
  const wrong = Object.entries(all).filter(([, problem]) => problem !== undefined);
  return Object.fromEntries(wrong) as Partial<Record<K, Key>>;
}
