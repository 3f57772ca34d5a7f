// Puts what must come before the first paint into <head>: the theme script as a
// hashed file (the page's policy forbids inline scripts) and the font's preload.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

export function head(): Plugin {
  const source = readFileSync(new URL('../src/theme.js', import.meta.url), 'utf8');
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 8);
  const fileName = `assets/theme-${hash}.js`;
  let base = '/';
  let serve = false;
  return {
    name: 'tertulia:head',
    configResolved(config) {
      base = config.base;
      serve = config.command === 'serve';
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName, source });
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const font = Object.keys(bundle ?? {}).find((name) => /inter-latin-wght-normal/.test(name));
        const tags = [
          `<script src="${serve ? `${base}src/theme.js` : base + fileName}"></script>`,
          ...(font
            ? [`<link rel="preload" href="${base}${font}" as="font" type="font/woff2" crossorigin />`]
            : []),
        ];
        // Behind the meta elements that the script changes, before every style sheet.
        return html.replace('<!-- build/head.ts -->', tags.join('\n    '));
      },
    },
  };
}
