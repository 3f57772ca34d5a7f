// KaTeX offers each of its fonts three times; every browser that can show the page reads woff2.
import type { Plugin } from 'vite';

export function fonts(): Plugin {
  return {
    name: 'tertulia:fonts',
    enforce: 'pre',
    transform(code, id) {
      if (!/katex(\.min)?\.css/.test(id)) return null;
      return { code: code.replace(/,url\([^)]*\) format\("(?:woff|truetype)"\)/g, ''), map: null };
    },
  };
}
