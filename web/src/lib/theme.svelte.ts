// Light, dark, or as the system has it. src/theme.js sets it before the first paint.
import { load, save } from './storage';

export type Theme = 'system' | 'light' | 'dark';

const stored = load('theme');
let theme = $state<Theme>(stored === 'light' || stored === 'dark' ? stored : 'system');
const system = matchMedia('(prefers-color-scheme: dark)');
let systemDark = $state(system.matches);
system.addEventListener('change', (event) => {
  systemDark = event.matches;
  paint();
});

export function currentTheme(): Theme {
  return theme;
}

export function isDark(): boolean {
  return theme === 'dark' || (theme === 'system' && systemDark);
}

export function setTheme(to: Theme): void {
  theme = to;
  save('theme', to === 'system' ? null : to);
  paint();
}

function paint(): void {
  const root = document.documentElement;
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
  const meta = document.querySelector('meta[name=theme-color]');
  meta?.setAttribute('content', isDark() ? '#191817' : '#faf9f6');
}
