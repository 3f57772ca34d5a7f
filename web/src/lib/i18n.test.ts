import { afterEach, describe, expect, it } from 'vitest';
import de from '../messages/de.json';
import en from '../messages/en.json';
import { balance, credits, setLanguage, t, tn } from './i18n.svelte';

const sources = import.meta.glob('/src/**/*.{ts,svelte}', {
  query: '?raw',
  import: 'default',
  eager: true,
}) as Record<string, string>;
const all = { en, de } as Record<string, Record<string, string>>;
const holes = (text: string): string[] =>
  [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1] as string).sort();
const keys = Object.keys(en);

describe('message files', () => {
  it.each(Object.keys(all))('%s has every key, in order, with the same placeholders', (language) => {
    const messages = all[language] as Record<string, string>;
    expect(Object.keys(messages)).toEqual([...keys].sort());
    for (const key of keys) {
      expect(messages[key]?.trim(), key).not.toBe('');
      expect(holes(messages[key] as string), key).toEqual(
        holes((en as Record<string, string>)[key] as string),
      );
    }
  });

  it('have the plural forms that each language needs', () => {
    const bases = new Set(keys.filter((key) => key.endsWith('.other')).map((key) => key.slice(0, -6)));
    expect(bases.size).toBeGreaterThan(0);
    for (const [language, messages] of Object.entries(all)) {
      for (const category of new Intl.PluralRules(language).resolvedOptions().pluralCategories) {
        for (const base of bases) expect(messages).toHaveProperty([`${base}.${category}`]);
      }
    }
  });

  it('have no text that nothing uses', () => {
    const source = Object.entries(sources)
      .filter(([path]) => !path.endsWith('.test.ts'))
      .map(([, text]) => text)
      .join('\n');
    // These are put together from names that the server gives.
    const made = /^(error|end|auth|model\.(state|trouble))\./;
    const unused = keys.filter((key) => {
      const base = key.replace(/\.(one|other)$/, '');
      return !made.test(key) && !source.includes(`'${key}'`) && !source.includes(`'${base}'`);
    });
    expect(unused).toEqual([]);
  });
});

describe('texts', () => {
  afterEach(() => setLanguage('en'));

  it('are filled, and plural where they must be', async () => {
    expect(t('versions.place', { index: 2, count: 3 })).toBe('Version 2 of 3');
    expect(tn('notice.limited.wait', 1)).toBe('You can try again in 1 second.');
    expect(tn('notice.limited.wait', 2)).toBe('You can try again in 2 seconds.');
    await setLanguage('de');
    expect(t('common.copy')).toBe('Kopieren');
    expect(document.documentElement.lang).toBe('de');
    expect(tn('search.count', 1)).toBe('1 Gespräch gefunden');
  });

  it('shows credits as precisely as their size asks for', () => {
    expect(credits(0)).toBe('0');
    expect(credits(0.000123)).toBe('0.00012');
    expect(credits(0.4075)).toBe('0.41');
    expect(credits(12.345)).toBe('12.35');
    expect(credits(123456.7)).toBe('123,457');
    expect(credits(0.123456, true)).toBe('0.123456');
    // Nobody is told to have more than that.
    expect(balance(999.996)).toBe('999.9');
    expect(balance(1000)).toBe('1,000');
    expect(balance(9.999)).toBe('9.99');
  });
});
