import { expect, it } from 'vitest';
import { marks } from './marks';

it('marks words from their beginning, in any case and script', () => {
  const hits = (text: string, query: string): string[] =>
    marks(text, query)
      .filter((piece) => piece.hit)
      .map((piece) => piece.text);
  expect(hits('The Lighthouse, a light house', 'light')).toEqual(['Light', 'light']);
  expect(hits('delight', 'light')).toEqual([]);
  expect(hits('Große Größe', 'grö')).toEqual(['Grö']);
  expect(hits('a.b (c)', '.*(')).toEqual([]);
  for (const query of ['', 'e', 'light e', '.*']) {
    expect(
      marks('The Lighthouse', query)
        .map((piece) => piece.text)
        .join(''),
    ).toBe('The Lighthouse');
  }
});
