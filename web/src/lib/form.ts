// What forms share: problems in words, and the focus on the first of them.
import { tick } from 'svelte';
import type { ApiError } from '../api/error';
import { t, type Key } from './i18n.svelte';

/** Sentences by field. */
export type Problems = Partial<Record<string, string>>;

export function worded(keys: Partial<Record<string, Key>>): Problems {
  return Object.fromEntries(Object.entries(keys).map(([field, key]) => [field, t(key as Key)]));
}

/** What the server says of fields that the form has. */
export function refused(error: ApiError, fields: readonly string[]): Problems {
  const own = error.fields.filter((problem) => fields.includes(problem.field));
  return Object.fromEntries(own.map((problem) => [problem.field, problem.message]));
}

export async function focusWrong(form: HTMLElement | undefined): Promise<void> {
  await tick();
  form?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
}
