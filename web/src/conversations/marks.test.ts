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
  expect(hits('A lantern, a 7 and 77', 'a 7')).toEqual(['A', 'a', '7']);
  expect(hits('東京 tower', '東 to')).toEqual(['東', 'to']);
  for (const query of ['', 'e', 'light e', '.*']) {
    expect(
      marks('The Lighthouse', query)
        .map((piece) => piece.text)
        .join(''),
    ).toBe('The Lighthouse');
  }
});
