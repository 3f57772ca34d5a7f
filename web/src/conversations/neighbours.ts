// The conversation above or below another one in the list, as far as it is loaded.
import type { ConversationList } from './list.svelte';

export function conversationAfter(list: ConversationList, id: string | null, by: number): string | null {
  if (id === null) return list.at(0)?.id ?? null;
  for (let row = 0; row < list.total; row++) {
    if (list.at(row)?.id === id) return list.at(row + by)?.id ?? null;
  }
  return list.at(0)?.id ?? null;
}
