// Where the keyboard is: when what had the focus goes, something near takes it.
import { tick } from 'svelte';

/** After the change that is under way: gives the focus to what is found, if nothing else has it. */
export async function keepFocus(find: () => HTMLElement | null | undefined): Promise<void> {
  await tick();
  const now = document.activeElement;
  // A button that has just been disabled loses it with the next frame.
  if (!now || now === document.body || now.matches(':disabled')) find()?.focus({ preventScroll: true });
}
