// Short notes at the edge of the page, with at most one action (undo). They wait
// while the pointer or the focus is on them (ui/Toasts.svelte).

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'error';
  action: { label: string; run: () => void } | null;
  /** Milliseconds it stays. */
  stay: number;
}

let toasts = $state.raw<Toast[]>([]);
let last = 0;

export function currentToasts(): Toast[] {
  return toasts;
}

export function toast(text: string, options: Partial<Omit<Toast, 'id' | 'text'>> = {}): number {
  const action = options.action ?? null;
  const stay = options.stay ?? (action ? 8000 : options.tone === 'error' ? 7000 : 4000);
  const made: Toast = { id: ++last, text, tone: options.tone ?? 'plain', action, stay };
  toasts = [...toasts.slice(-2), made];
  return made.id;
}

export function dismiss(id: number): void {
  toasts = toasts.filter((toast) => toast.id !== id);
}
