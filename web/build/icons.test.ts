// @vitest-environment node
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { drawing } from './icons';

const folder = new URL('../node_modules/@lucide/svelte/dist/icons/', import.meta.url);

describe('icons', () => {
  it('are drawn as the package draws them', () => {
    const made = drawing(readFileSync(new URL('panel-left.svelte', folder), 'utf8'));
    expect(made).toContain('<rect width="18" height="18" x="3" y="3" rx="2" /><path d="M9 3v18" /></svg>');
  });

  it('are all understood', () => {
    const names = readdirSync(folder).filter((name) => name.endsWith('.svelte'));
    expect(names.length).toBeGreaterThan(1000);
    for (const name of names)
      expect(drawing(readFileSync(new URL(name, folder), 'utf8'))).toContain('/></svg>');
  });
});
