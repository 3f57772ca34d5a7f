// Sentences for what went wrong, in the person's language: by code where there is
// one of ours, else what the server says.
import type { ApiError } from '../api/error';
import { known, t } from './i18n.svelte';

export function explainCode(code: string, detail: string): string {
  const key = `error.${code}`;
  if (known(key)) return t(key);
  return detail || t('error.unknown');
}

export function explain(error: ApiError): string {
  return explainCode(error.code, error.detail);
}
