import { describe, expect, it } from 'vitest';
import { commandFor, commandIn, matching, windowFrom } from './commands';

const prompts = [
  { command: 'translate', title: 'Translate into English' },
  { command: 'mail', title: 'Answer a mail' },
  { command: 'review', title: 'Code review' },
  { command: 'trip', title: 'Plan a journey' },
  { command: 'resume', title: 'Résumé, shorter' },
];
const found = (query: string): string[] => matching(prompts, query).map((one) => one.command);

describe('a command', () => {
  it('is only at the beginning, on one line', () => {
    expect(commandIn('/')).toBe('');
    expect(commandIn('/tr')).toBe('tr');
    expect(commandIn('/plan a')).toBe('plan a');
    for (const text of ['', 'a/', ' /tr', '/tr\n', '// comment', '/ tr', `/${'a'.repeat(61)}`]) {
      expect(commandIn(text)).toBeNull();
    }
  });

  it('finds by command first, then by title', () => {
    expect(found('tr')).toEqual(['translate', 'trip']);
    expect(found('trip')).toEqual(['trip']);
    expect(found('re')).toEqual(['resume', 'review']);
    expect(found('plan a j')).toEqual(['trip']);
    expect(found('english')).toEqual(['translate']);
    expect(found('odeR')).toEqual([]);
    expect(found('ODE')).toEqual(['review']);
    expect(found('resume')).toEqual(['resume']);
    expect(found('RÉSUMÉ')).toEqual(['resume']);
    expect(found('etc/passwd')).toEqual([]);
  });

  it('lists all, by name, when nothing is typed', () => {
    expect(found('')).toEqual(['mail', 'resume', 'review', 'translate', 'trip']);
  });

  it('is chosen from a part of a long list, which moves along', () => {
    for (let current = 0; current < 20; current++) {
      const from = windowFrom(20, current, 6);
      expect(from).toBeGreaterThanOrEqual(0);
      expect(from + 6).toBeLessThanOrEqual(20);
      expect(current).toBeGreaterThanOrEqual(from);
      expect(current).toBeLessThan(from + 6);
    }
    expect(windowFrom(4, 3, 6)).toBe(0);
    expect(windowFrom(0, -1, 6)).toBe(0);
  });

  it('is made from a title', () => {
    expect(commandFor('Für Anfänger erklären!')).toBe('fur-anfanger-erklaren');
    expect(commandFor('  Größe ')).toBe('grosse');
    expect(commandFor('日本語')).toBe('');
    expect(commandFor(`a ${'b'.repeat(29)} c d`)).toHaveLength(31);
    expect(commandFor('x'.repeat(50))).toHaveLength(32);
  });
});
