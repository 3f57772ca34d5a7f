// A conversation that was begun in the view for new ones goes on in its own view
// without a break.
import { Chat } from './chat.svelte';

export { Chat };

let handed: Chat | null = null;

export function hand(chat: Chat): void {
  handed?.close();
  handed = chat;
}

/** The chat that was handed over, or a new one that still has to be opened. */
export function take(id: string): { chat: Chat; fresh: boolean } {
  const chat = handed;
  handed = null;
  if (chat?.id === id) return { chat, fresh: false };
  chat?.close();
  return { chat: new Chat(id), fresh: true };
}
