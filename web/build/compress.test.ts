// @vitest-environment node
import { expect, it } from 'vitest';
import { initialChunks } from './compress';

it('counts what the entry needs at once, each file once, and nothing that is loaded later', () => {
  const bundle = {
    'index.js': { type: 'chunk', isEntry: true, imports: ['a.js', 'b.js'] },
    'a.js': { type: 'chunk', imports: ['c.js'] },
    'b.js': { type: 'chunk', imports: ['c.js', 'index.js'] },
    'c.js': { type: 'chunk' },
    'later.js': { type: 'chunk', imports: ['a.js'] },
  };
  expect(initialChunks(bundle)).toEqual(['index.js', 'a.js', 'c.js', 'b.js']);
});
