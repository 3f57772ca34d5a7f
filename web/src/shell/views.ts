// Code that is loaded after the frame is there: at once where the address needs it,
// else when the page has nothing to do, so that it is there when it is wanted.
import { idle } from '../lib/frame';

export const chatView = () => import('../chat/ChatView.svelte');

/** Loads what is needed next; whatever does not come is asked for again when it is needed. */
export async function loadAhead(): Promise<void> {
  for (const load of [chatView, () => import('../ui/MenuPanel.svelte')]) {
    await idle();
    await load().catch(() => {});
  }
}
