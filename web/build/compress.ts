// After the build: a .br file beside everything that compresses, and the size of
// the JavaScript that the chat needs before it can be used, which has a limit.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import type { Plugin } from 'vite';

const PACKED = /\.(js|css|html|json|svg|webmanifest)$/;

interface Chunk {
  type: string;
  isEntry?: boolean;
  imports?: string[];
}

/** The entry and everything it imports at once, by file name. */
export function initialChunks(bundle: Record<string, Chunk>): string[] {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const next of bundle[name]?.imports ?? []) visit(next);
  };
  for (const [name, chunk] of Object.entries(bundle)) if (chunk.isEntry) visit(name);
  return [...seen];
}

export function brotli(bytes: Uint8Array): Buffer {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}

/** `budget`: bytes of initial JavaScript, compressed; the build fails above it. */
export function compress(budget: number): Plugin {
  return {
    name: 'tertulia:compress',
    apply: 'build',
    writeBundle(options, bundle) {
      const dir = options.dir ?? 'dist';
      const sizes = new Map<string, number>();
      for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !PACKED.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const packed = brotli(readFileSync(path));
        writeFileSync(`${path}.br`, packed);
        sizes.set(entry.name, packed.length);
      }
      const initial = initialChunks(bundle as Record<string, Chunk>);
      const total = initial.reduce((sum, name) => sum + (sizes.get(name.replace(/^.*\//, '')) ?? 0), 0);
      const kb = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KB`;
      console.log(`\ninitial JavaScript, brotli: ${kb(total)} of ${kb(budget)} (${initial.length} files)`);
      if (total > budget) this.error(`initial JavaScript is ${kb(total)}, more than ${kb(budget)}`);
    },
  };
}
