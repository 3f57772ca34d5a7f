// Markdown to blocks. Text only: making it safe is sanitize.ts, showing it
// Markdown.svelte. GitHub's flavour, and mathematics in $..$, $$..$$, \(..\), \[..\].
import { Marked, type Token, type TokenizerAndRendererExtension, type Tokens } from 'marked';

export function escape(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;');
}

function formula(tex: string, display: boolean): string {
  const text = escape(tex.trim());
  return `<span class="md-math" data-tex="${text}" data-display="${display}">${text}</span>`;
}

interface Maths extends Tokens.Generic {
  tex: string;
}

const blockMaths: TokenizerAndRendererExtension = {
  name: 'blockMaths',
  level: 'block',
  start: (src) => src.match(/^ {0,3}(\$\$|\\\[)/m)?.index,
  tokenizer(src) {
    const found = /^ {0,3}(?:\$\$([\s\S]{1,5000}?)\$\$|\\\[([\s\S]{1,5000}?)\\\])[ \t]*(?:\n|$)/.exec(src);
    if (!found) return undefined;
    return { type: 'blockMaths', raw: found[0], tex: found[1] ?? found[2] ?? '' };
  },
  renderer: (token) => `<p>${formula((token as Maths).tex, true)}</p>\n`,
};

const inlineMaths: TokenizerAndRendererExtension = {
  name: 'inlineMaths',
  level: 'inline',
  start: (src) => src.match(/\$|\\\(|\\\[/)?.index,
  tokenizer(src) {
    const display = /^(?:\$\$([^$]{1,5000}?)\$\$|\\\[([\s\S]{1,5000}?)\\\])/.exec(src);
    if (display) {
      return { type: 'inlineMaths', raw: display[0], tex: display[1] ?? display[2] ?? '', display: true };
    }
    // As Pandoc has it: no space inside the dollars, no digit after them, so that "$5 and $6" stays.
    const found = /^(?:\$(?![\s$])((?:\\.|[^\\$\n])*?[^\s\\$])\$(?![\d$])|\\\(([\s\S]{1,5000}?)\\\))/.exec(
      src,
    );
    if (!found) return undefined;
    return { type: 'inlineMaths', raw: found[0], tex: found[1] ?? found[2] ?? '', display: false };
  },
  renderer: (token) => formula((token as Maths).tex, (token as Maths).display === true),
};

const marked = new Marked({ gfm: true, async: false, extensions: [blockMaths, inlineMaths] });

export interface CodeBlock {
  kind: 'code';
  key: number;
  raw: string;
  code: string;
  /** The first word after the fence; empty without one. */
  language: string;
  /** More may come. */
  open: boolean;
}

export interface HtmlBlock {
  kind: 'html';
  key: number;
  raw: string;
  /** Not safe yet. */
  html: string;
  /** It goes on with the list of the block above. */
  more: boolean;
}

export type Block = CodeBlock | HtmlBlock;

/** A piece of the text that becomes one block. */
interface Piece {
  tokens: Token[];
  raw: string;
  more: boolean;
}

/** Items of a list that stand in one block: a list that grows is not made anew as a whole. */
const ITEMS = 30;

/** So many tokens at most are folded together: one that is never closed does not take all that follows. */
const FOLDED = 50;

/** How many `<details>` are open after a token. The end may stand in a paragraph, the beginning never does. */
function openAfter(token: Token, before: number): number {
  if (token.type === 'code' || (before === 0 && token.type !== 'html')) return before;
  const tags = token.raw
    .replace(/<!--[\s\S]*?(-->|$)|<pre\b[\s\S]*?(<\/pre>|$)/gi, '')
    .replace(/"[^"]*"/g, '');
  const begun = token.type === 'html' ? (tags.match(/<details\b/gi)?.length ?? 0) : 0;
  return Math.max(0, before + begun - (tags.match(/<\/details\s*>/gi)?.length ?? 0));
}

/** The tokens, those from a `<details>` to its end together: blank lines inside part them. */
function grouped(tokens: Token[]): Token[][] {
  const groups: Token[][] = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth > 0) groups.at(-1)?.push(token);
    else groups.push([token]);
    depth = (groups.at(-1)?.length ?? 0) < FOLDED ? openAfter(token, depth) : 0;
  }
  return groups;
}

/** A long list (one without paragraphs) in several pieces, everything else in one. */
function piecesOf(tokens: Token[]): Piece[] {
  const list = tokens[0] as Tokens.List;
  if (tokens.length > 1 || list.type !== 'list' || list.loose || list.items.length <= ITEMS)
    return [{ tokens, raw: tokens.map((token) => token.raw).join(''), more: false }];
  const pieces: Piece[] = [];
  for (let from = 0; from < list.items.length; from += ITEMS) {
    const items = list.items.slice(from, from + ITEMS);
    const raw = items.map((item) => item.raw).join('');
    const start = typeof list.start === 'number' ? list.start + from : list.start;
    pieces.push({ tokens: [{ ...list, items, start, raw }], raw, more: from > 0 });
  }
  return pieces;
}

function blockOf({ tokens, raw, more }: Piece, key: number, open: boolean): Block {
  const code = tokens[0] as Tokens.Code;
  if (code.type === 'code') {
    const language = code.lang?.trim().split(/\s+/)[0] ?? '';
    return { kind: 'code', key, raw, code: code.text, language, open };
  }
  return { kind: 'html', key, raw, html: marked.parser(tokens), more };
}

function same(block: Block | undefined, piece: Piece, open: boolean): boolean {
  if (!block || block.raw !== piece.raw) return false;
  return block.kind === 'code' ? block.open === open : block.more === piece.more;
}

/** So many tokens at the end are looked at again: what follows may still join them. */
const UNSETTLED = 2;

/**
 * The blocks of a text that grows. Those that are finished are neither parsed
 * again nor replaced: they stay the same objects. When the text is complete, all
 * of it is parsed once more, so that the result is that of the whole.
 */
export class GrowingMarkdown {
  #blocks: Block[] = [];
  /** How many of the blocks are finished, and the text they are made of. */
  #settled = 0;
  #prefix = '';

  update(text: string, complete: boolean): Block[] {
    try {
      return this.#update(text, complete);
    } catch {
      // Nested deeper than the parser can go: as it was written.
      this.#settled = 0;
      this.#prefix = '';
      this.#blocks = [{ kind: 'code', key: 0, raw: text, code: text, language: '', open: !complete }];
      return this.#blocks;
    }
  }

  #update(text: string, complete: boolean): Block[] {
    if (complete || !text.startsWith(this.#prefix)) {
      this.#settled = 0;
      this.#prefix = '';
    }
    const tokens = marked.lexer(text.slice(this.#prefix.length));
    // Links that are defined somewhere below change blocks that look the same.
    const linked = complete && Object.keys(tokens.links).length > 0;
    const blocks = this.#blocks.slice(0, this.#settled);
    /** Where the text ends that each token is made of, and how many blocks there are then. */
    const ends: { text: number; blocks: number }[] = [];
    let length = 0;
    const groups = grouped(tokens);
    const last = groups.findLastIndex(([token]) => token?.type !== 'space');
    groups.forEach((group, at) => {
      for (const token of group) length += token.raw.length;
      if (group[0]?.type === 'space' || group[0]?.type === 'def') return;
      const open = !complete && at === last;
      for (const piece of piecesOf(group)) {
        const index = blocks.length;
        const old = this.#blocks[index];
        blocks.push(same(old, piece, open) && !linked ? (old as Block) : blockOf(piece, index, open));
      }
      ends.push({ text: length, blocks: blocks.length });
    });
    const settled = ends[ends.length - UNSETTLED - 1];
    if (!complete && settled) {
      this.#settled = settled.blocks;
      this.#prefix = text.slice(0, this.#prefix.length + settled.text);
    }
    this.#blocks = blocks;
    return blocks;
  }
}

/** All blocks of a text that is complete. */
export function blocksOf(text: string): Block[] {
  return new GrowingMarkdown().update(text, true);
}

/** The text without its marks, for reading aloud and for previews. */
export function plain(text: string): string {
  return text
    .replace(/```[\s\S]*?(```|$)/g, ' ')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/^[ \t]*(#{1,6}|>|[-*+]|\d+\.)[ \t]+/gm, '')
    .replace(/(\*\*|__|~~|`|\*)/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
