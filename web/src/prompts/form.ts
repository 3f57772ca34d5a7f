// What a saved prompt may be; the server's rules.
import { line, long, problems } from '../lib/check';
import type { Key } from '../lib/i18n.svelte';

export interface PromptDraft {
  title: string;
  command: string;
  content: string;
}

export function check(
  draft: PromptDraft,
  taken: readonly string[] = [],
): Partial<Record<keyof PromptDraft, Key>> {
  const command = draft.command.trim();
  return problems({
    title: line(draft.title, 80),
    command: !/^[a-z0-9-]{1,32}$/.test(command)
      ? 'prompts.command.invalid'
      : taken.includes(command)
        ? 'error.command_exists'
        : undefined,
    content: long(draft.content, true),
  });
}
