// The page's addresses, all below /app, on the browser's own history. A router
// of our own: so few addresses do not need a library (web/README.md).

export const BASE = '/app';

export const ADMIN = ['users', 'models', 'health'] as const;

/** Views that are loaded when they are first needed (shell/Later.svelte). */
export type Later =
  | { name: 'usage' | 'account' | 'assistants' | 'prompts' }
  | { name: 'admin'; section: (typeof ADMIN)[number]; id?: string };

export type Route =
  /** With one of one's assistants, or not. */
  | { name: 'new'; assistant?: string }
  /** At a message, or at its end. */
  | { name: 'chat'; id: string; message?: string }
  | Later
  | { name: 'shared'; token: string }
  | { name: 'sign-in'; next: string }
  | { name: 'sign-up'; next: string }
  | { name: 'missing' };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const PLAIN = ['usage', 'account', 'assistants', 'prompts'] as const;

function isPlain(name: string): name is (typeof PLAIN)[number] {
  return (PLAIN as readonly string[]).includes(name);
}

function admin([section = 'users', id, ...more]: string[]): Route {
  const known = ADMIN.find((one) => one === section);
  if (!known || more.length > 0) return { name: 'missing' };
  if (id === undefined) return { name: 'admin', section: known };
  return known === 'users' && UUID.test(id) ? { name: 'admin', section: known, id } : { name: 'missing' };
}

/** Only addresses of this page, so that nobody is sent elsewhere after signing in. */
export function safeNext(next: string | null): string {
  return next && /^\/app(\/(?![/\\])|\?|$)/.test(next) ? next : BASE;
}

export function parse(path: string, query = ''): Route {
  const parts = path
    .replace(/^\/app\/?/, '')
    .split('/')
    .filter(Boolean);
  const asked = new URLSearchParams(query);
  const next = safeNext(asked.get('next'));
  const [first, second] = parts;
  if (first === undefined) {
    const assistant = asked.get('assistant');
    return assistant && UUID.test(assistant) ? { name: 'new', assistant } : { name: 'new' };
  }
  if (parts.length === 2 && first === 'c' && second && UUID.test(second)) {
    const message = asked.get('message');
    return message && UUID.test(message)
      ? { name: 'chat', id: second, message }
      : { name: 'chat', id: second };
  }
  if (parts.length === 2 && first === 'shared' && second) {
    try {
      return { name: 'shared', token: decodeURIComponent(second) };
    } catch {
      return { name: 'missing' };
    }
  }
  if (parts.length === 1 && isPlain(first)) return { name: first };
  if (first === 'admin') return admin(parts.slice(1));
  if (parts.length === 1 && (first === 'sign-in' || first === 'sign-up')) return { name: first, next };
  return { name: 'missing' };
}

export function href(route: Route): string {
  switch (route.name) {
    case 'new':
      return route.assistant ? `${BASE}?assistant=${route.assistant}` : BASE;
    case 'missing':
      return BASE;
    case 'usage':
    case 'account':
    case 'assistants':
    case 'prompts':
      return `${BASE}/${route.name}`;
    case 'admin':
      return [BASE, 'admin', route.section, route.id].filter(Boolean).join('/');
    case 'chat':
      return `${BASE}/c/${route.id}${route.message ? `?message=${route.message}` : ''}`;
    case 'shared':
      return `${BASE}/shared/${encodeURIComponent(route.token)}`;
    case 'sign-in':
    case 'sign-up':
      return `${BASE}/${route.name}${route.next === BASE ? '' : `?next=${encodeURIComponent(route.next)}`}`;
  }
}

let route = $state.raw<Route>(parse(location.pathname, location.search));

export function currentRoute(): Route {
  return route;
}

export function go(to: Route | string, replace = false): void {
  const url = typeof to === 'string' ? to : href(to);
  if (url !== location.pathname + location.search)
    history[replace ? 'replaceState' : 'pushState'](null, '', url);
  route = parse(location.pathname, location.search);
}

/** Takes over plain clicks on links of this page, and the back button. */
export function startRouter(): void {
  addEventListener('popstate', () => {
    route = parse(location.pathname, location.search);
  });
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.pathname !== BASE && !link.pathname.startsWith(`${BASE}/`)) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
