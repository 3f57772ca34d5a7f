// What a screen reader is told while an answer grows: whole sentences, and only
// every few seconds, so that it does not chatter.
import { plain } from '../markdown/parse';

const EVERY = 2_500;
/** Where a sentence, an item or a paragraph ends. */
const ENDS = /[.!?:…。！？](?=["')\]»”]*\s)|\n+/g;

/** The length of the part of `text` that ends with a sentence. */
export function sentences(text: string): number {
  let end = 0;
  for (const found of text.matchAll(ENDS)) end = found.index + found[0].length;
  return end;
}

export class Speaker {
  #said = 0;
  #last = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  begin(): void {
    this.#said = 0;
    this.#last = this.now();
  }

  /** What is to be said now that the answer is `text`; null for nothing. */
  say(text: string, complete: boolean): string | null {
    // It began again.
    if (text.length < this.#said) this.#said = 0;
    if (!complete && this.now() - this.#last < EVERY) return null;
    const rest = text.slice(this.#said);
    const length = complete ? rest.length : sentences(rest);
    if (length === 0) return null;
    this.#said += length;
    this.#last = this.now();
    return plain(rest.slice(0, length)) || null;
  }
}
