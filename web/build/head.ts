// Puts src/first.js into <head> as a hashed file (the page's policy forbids inline
// scripts), with the names of the files that a view loads besides the page itself.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

/** The modules that are loaded as soon as a view (or a language) is known. */
export const ROOTS = {
  chat: /\/src\/chat\/ChatView\.svelte$/,
  de: /\/src\/messages\/de\.json$/,
};

export interface Chunk {
  isEntry?: boolean;
  imports?: string[];
  moduleIds?: string[];
  facadeModuleId?: string | null;
  viteMetadata?: { importedCss: Set<string> };
}

/** These files and all that they import at once. */
function reach(bundle: Record<string, Chunk>, names: string[], seen = new Set<string>()): Set<string> {
  for (const name of names) {
    if (seen.has(name)) continue;
    seen.add(name);
    reach(bundle, bundle[name]?.imports ?? [], seen);
  }
  return seen;
}

/** The page itself, and what it imports at once. */
export function entries(bundle: Record<string, Chunk>): string[] {
  const names = Object.keys(bundle).filter((name) => bundle[name]?.isEntry);
  return [...reach(bundle, names)];
}

/** The files that a module needs and the page itself does not. */
export function filesOf(bundle: Record<string, Chunk>, root: RegExp): string[] {
  const first = new Set(entries(bundle));
  const wanted = Object.keys(bundle).filter((name) => {
    const { facadeModuleId, moduleIds = [] } = bundle[name] as Chunk;
    return [facadeModuleId ?? '', ...moduleIds].some((id) => root.test(id));
  });
  const files = [...reach(bundle, wanted)].filter((name) => !first.has(name));
  return files.flatMap((name) => [name, ...(bundle[name]?.viteMetadata?.importedCss ?? [])]);
}

export function head(): Plugin {
  const source = readFileSync(new URL('../src/first.js', import.meta.url), 'utf8');
  let base = '/';
  let serve = false;
  let made = { fileName: '', source };
  return {
    name: 'tertulia:head',
    // After the page's HTML was made, which names the file.
    enforce: 'post',
    configResolved(config) {
      base = config.base;
      serve = config.command === 'serve';
    },
    generateBundle() {
      this.emitFile({ type: 'asset', ...made });
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        if (serve)
          return html.replace('<!-- build/head.ts -->', `<script src="${base}src/first.js"></script>`);
        const files = Object.entries(ROOTS).map(([name, root]): [string, string[]] => [
          name,
          filesOf((bundle ?? {}) as Record<string, Chunk>, root).map((file) => base + file),
        ]);
        const filled = source.replace('FILES = {}', `FILES = ${JSON.stringify(Object.fromEntries(files))}`);
        const hash = createHash('sha256').update(filled).digest('hex').slice(0, 8);
        made = { fileName: `assets/first-${hash}.js`, source: filled };
        // Behind the meta elements that the script changes, before every style sheet.
        return html.replace('<!-- build/head.ts -->', `<script src="${base}${made.fileName}"></script>`);
      },
    },
  };
}
