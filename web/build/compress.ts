// After the build: a .br file beside everything that compresses, and the size of
// the JavaScript that a conversation needs before it can be used, which has a limit.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import type { Plugin } from 'vite';
import { entries, filesOf, ROOTS, type Chunk } from './head.ts';

const PACKED = /\.(js|css|html|json|svg|webmanifest)$/;

export function brotli(bytes: Uint8Array): Buffer {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}

/** `budget`: bytes of that JavaScript, compressed; the build fails above it. */
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
      const chunks = bundle as Record<string, Chunk>;
      const initial = [...entries(chunks), ...filesOf(chunks, ROOTS.chat)].filter((name) =>
        name.endsWith('.js'),
      );
      const total = initial.reduce((sum, name) => sum + (sizes.get(name.replace(/^.*\//, '')) ?? 0), 0);
      const kb = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KB`;
      console.log(`\ninitial JavaScript, brotli: ${kb(total)} of ${kb(budget)} (${initial.length} files)`);
      if (total > budget) this.error(`initial JavaScript is ${kb(total)}, more than ${kb(budget)}`);
    },
  };
}
