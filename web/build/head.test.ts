// @vitest-environment node
import { expect, it } from 'vitest';
import { entries, filesOf } from './head';

const bundle = {
  'index.js': { isEntry: true, imports: ['a.js', 'b.js'] },
  'a.js': { imports: ['c.js'] },
  'b.js': { imports: ['c.js', 'index.js'] },
  'c.js': {},
  'view.js': {
    moduleIds: ['/x/src/View.svelte'],
    imports: ['a.js', 'shared.js'],
    viteMetadata: { importedCss: new Set(['view.css']) },
  },
  'shared.js': { imports: ['c.js'] },
  'later.js': { imports: ['a.js'] },
};

it('knows what the page needs at once, each file once, and nothing that is loaded later', () => {
  expect(entries(bundle)).toEqual(['index.js', 'a.js', 'c.js', 'b.js']);
});

it('knows what a view needs besides', () => {
  expect(filesOf(bundle, /View\.svelte$/)).toEqual(['view.js', 'view.css', 'shared.js']);
  // It may be in a chunk of several, behind a file that only hands it on.
  const moved = {
    ...bundle,
    'view.js': { facadeModuleId: '/x/src/View.svelte', imports: ['group.js'] },
    'group.js': { moduleIds: ['/x/src/View.svelte', '/x/src/Other.svelte'], imports: ['index.js'] },
  };
  expect(filesOf(moved, /View\.svelte$/)).toEqual(['view.js', 'group.js']);
});
