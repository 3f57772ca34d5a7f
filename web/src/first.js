// Runs before the first paint, as a file of its own (no inline script). It sets the
// chosen theme and what the view looks like while it loads (styles/bones.css), and
// asks for what the view needs while its code is still on the way.
(() => {
  // What each view and language needs besides the page itself; build/head.ts fills it in.
  const FILES = {};
  const root = document.documentElement;
  const read = (key) => {
    try {
      return localStorage.getItem(`tertulia:${key}`);
    } catch {
      return null;
    }
  };

  const theme = read('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const dark = theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.querySelector('meta[name=theme-color]')?.setAttribute('content', dark ? '#191817' : '#faf9f6');
  if (read('sidebar') === 'closed') root.dataset.sidebar = 'closed';

  const { pathname, search } = location;
  const chat = /^\/app\/c\/([0-9a-f-]{36})$/i.exec(pathname)?.[1];
  const apart = /^\/app\/(sign-in$|sign-up$|shared\/)/.test(pathname);
  const view = apart ? 'apart' : chat ? 'chat' : /^\/app\/?$/.test(pathname) ? 'new' : 'other';
  root.dataset.view = view;

  const language = read('language') ?? navigator.languages.find((tag) => /^(en|de)\b/.test(tag)) ?? 'en';
  for (const file of [...(FILES[view] ?? []), ...(FILES[language.slice(0, 2)] ?? [])]) {
    const link = document.createElement('link');
    const script = file.endsWith('.js');
    link.rel = script ? 'modulepreload' : 'preload';
    if (!script) link.as = 'style';
    link.crossOrigin = '';
    link.href = file;
    document.head.append(link);
  }

  // Whoever was here before is most likely signed in. src/api/send.ts takes these up.
  if (apart || !read('user')) return;
  const asked = [
    '/auth/me',
    '/sessions?archived=false&page=1&per_page=100',
    '/models?page=1&per_page=100',
    '/credits/balance',
  ];
  if (chat && !search) asked.unshift(`/sessions/${chat}`, `/sessions/${chat}/messages?per_page=20`);
  window.tertulia = Object.fromEntries(
    asked.map((url) => {
      const answer = fetch(url);
      answer.catch(() => {});
      return [url, answer];
    }),
  );
})();
