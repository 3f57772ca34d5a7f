// The words of a search within a text, for marking. Words match from their beginning, letters alone match themselves.

export interface Piece {
  text: string;
  hit: boolean;
}

/** Alone it stands for itself; characters of scripts without spaces are words anyway. */
const LETTER = /^(?![\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}])[\p{L}\p{N}]$/u;

export function marks(text: string, query: string): Piece[] {
  const words = query.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  if (words.length === 0) return [{ text, hit: false }];
  const escaped = words
    .sort((a, b) => b.length - a.length)
    .map((word) => (LETTER.test(word) ? `${word}(?![\\p{L}\\p{N}])` : word));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join('|')})`, 'giu');
  const pieces: Piece[] = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    if (found.index > end) pieces.push({ text: text.slice(end, found.index), hit: false });
    pieces.push({ text: found[0], hit: true });
    end = found.index + found[0].length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), hit: false });
  return pieces;
}
