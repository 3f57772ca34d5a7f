// Keyboard shortcuts: one table, which the list behind `?` is made from.
import type { Key } from './i18n.svelte';

export interface Shortcut {
  id: string;
  /** As KeyboardEvent.key; `mod` is Ctrl, or Command on Apple's machines. */
  key: string;
  mod?: boolean;
  shift?: boolean;
  label: Key;
  /** Works while a field has the focus. */
  typing?: boolean;
}

export const SHORTCUTS = [
  { id: 'new', key: 'o', mod: true, shift: true, label: 'keys.new', typing: true },
  { id: 'search', key: 'k', mod: true, label: 'keys.search', typing: true },
  { id: 'composer', key: 'Escape', shift: true, label: 'keys.composer', typing: true },
  { id: 'sidebar', key: 's', mod: true, shift: true, label: 'keys.sidebar', typing: true },
  { id: 'stop', key: 'Escape', label: 'keys.stop', typing: true },
  { id: 'copy', key: 'c', mod: true, shift: true, label: 'keys.copy', typing: true },
  { id: 'edit', key: 'ArrowUp', mod: true, label: 'keys.edit', typing: true },
  { id: 'next', key: 'ArrowDown', mod: true, shift: true, label: 'keys.next', typing: true },
  { id: 'previous', key: 'ArrowUp', mod: true, shift: true, label: 'keys.previous', typing: true },
  { id: 'bottom', key: 'End', mod: true, label: 'keys.bottom' },
  { id: 'help', key: '?', label: 'keys.help' },
] as const satisfies Shortcut[];

export type ShortcutId = (typeof SHORTCUTS)[number]['id'];
/** Answers false when there is nothing to do, so that the key keeps its usual meaning. */
export type Handler = () => boolean | void;

const handlers = new Map<ShortcutId, Handler[]>();

/** The newest handler of a shortcut goes first; answers how to take it back. */
export function onShortcut(id: ShortcutId, handler: Handler): () => void {
  const list = handlers.get(id) ?? [];
  handlers.set(id, [handler, ...list]);
  return () => {
    handlers.set(
      id,
      (handlers.get(id) ?? []).filter((one) => one !== handler),
    );
  };
}

export const apple = /Mac|iPhone|iPad/.test(navigator.platform);

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return !!element?.closest?.('input, textarea, select, [contenteditable=true]');
}

export function matches(shortcut: Shortcut, event: KeyboardEvent): boolean {
  const mod = apple ? event.metaKey : event.ctrlKey;
  const other = apple ? event.ctrlKey : event.metaKey;
  if (other || event.altKey || mod !== !!shortcut.mod) return false;
  if (shortcut.key !== '?' && event.shiftKey !== !!shortcut.shift) return false;
  return event.key.toLowerCase() === shortcut.key.toLowerCase();
}

export function handleKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  for (const shortcut of SHORTCUTS as readonly Shortcut[]) {
    if (!matches(shortcut, event)) continue;
    if (!shortcut.typing && typing(event.target)) continue;
    // A dialog or a menu has its own keys. Looked for last: it means the whole page, for every letter.
    if (document.querySelector('[role=dialog][data-state=open], [role=menu][data-state=open]')) return;
    for (const handler of handlers.get(shortcut.id as ShortcutId) ?? []) {
      if (handler() === false) continue;
      event.preventDefault();
      return;
    }
  }
}

/** The keys as people read them. */
export function keysOf(shortcut: Shortcut): string[] {
  const names: Record<string, string> = {
    ArrowUp: '↑',
    ArrowDown: '↓',
    Escape: 'Esc',
  };
  return [
    ...(shortcut.mod ? [apple ? '⌘' : 'Ctrl'] : []),
    ...(shortcut.shift ? [apple ? '⇧' : 'Shift'] : []),
    names[shortcut.key] ?? (shortcut.key.length === 1 ? shortcut.key.toUpperCase() : shortcut.key),
  ];
}
