// Runs before the first paint, as a file of its own (no inline script): sets the
// chosen theme, language and direction on <html>, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const theme = read('tertulia:theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const dark = theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.querySelector('meta[name=theme-color]')?.setAttribute('content', dark ? '#191817' : '#faf9f6');
  if (read('tertulia:sidebar') === 'closed') root.dataset.sidebar = 'closed';
})();
