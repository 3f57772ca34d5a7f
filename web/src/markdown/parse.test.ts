import { describe, expect, it } from 'vitest';
import { blocksOf, GrowingMarkdown, plain, type Block } from './parse';

const SAMPLE = `Whales *sleep*.
They do.

Setext
------

- a

- b

      indented
  more

1. one
   \`\`\`python
   x = 1

   y = 2
   \`\`\`
2. two

| a | b |
|---|---|
| 1 | 2 |

> quoted
still quoted

\`\`\`rust
fn main() {

    let x = "$5 and $6";
}
\`\`\`

$$
\\int_0^1 x\\,dx

= 1/2
$$

A [link][l] and ![image](https://x.example/a.png).

<details>
<summary>s</summary>

inside

</details>

***

[l]: https://example.org

The end with $x^2$.
`;

const bare = (blocks: Block[]): unknown[] =>
  blocks.map(({ key: _key, ...rest }) => ({ ...rest, open: false }));

describe('Markdown that grows', () => {
  it('is at the end what it would have been at once, however it came', () => {
    for (const step of [1, 2, 3, 7, 50]) {
      const growing = new GrowingMarkdown();
      for (let length = step; length < SAMPLE.length; length += step)
        growing.update(SAMPLE.slice(0, length), false);
      expect(bare(growing.update(SAMPLE, true))).toEqual(bare(blocksOf(SAMPLE)));
    }
  });

  it('leaves finished blocks alone', () => {
    const growing = new GrowingMarkdown();
    const paragraphs = Array.from({ length: 50 }, (_, n) => `Paragraph ${n} with **words**.`).join('\n\n');
    const first = growing.update(paragraphs, false);
    const later = growing.update(`${paragraphs}\n\nAnd more`, false);
    expect(later.length).toBe(51);
    for (let at = 0; at < 48; at++) expect(later[at]).toBe(first[at]);
    const end = growing.update(`${paragraphs}\n\nAnd more`, true);
    for (let at = 0; at < 50; at++) expect(end[at]).toBe(later[at]);
  });

  it('does not parse what is finished again', () => {
    const growing = new GrowingMarkdown();
    const paragraphs = Array.from(
      { length: 2_000 },
      (_, n) => `Paragraph ${n} with **words** and \`code\`.`,
    ).join('\n\n');
    growing.update(paragraphs, false);
    const whole = performance.now();
    new GrowingMarkdown().update(paragraphs, false);
    const all = performance.now() - whole;
    const began = performance.now();
    for (let n = 0; n < 20; n++) growing.update(`${paragraphs} ${'x '.repeat(n)}`, false);
    // Twenty steps together take less than parsing everything once.
    expect(performance.now() - began).toBeLessThan(all);
  });

  it('starts over when the text is another one (reset)', () => {
    const growing = new GrowingMarkdown();
    growing.update('One\n\nTwo\n\nThree\n\nFour', false);
    expect(bare(growing.update('Other\n\ntext', false))).toEqual(bare(blocksOf('Other\n\ntext')));
    expect(growing.update('', false)).toEqual([]);
  });

  it('shows code as code while its fence is open', () => {
    const growing = new GrowingMarkdown();
    expect(growing.update('```rust\nfn main', false)).toMatchObject([
      { kind: 'code', language: 'rust', code: 'fn main', open: true },
    ]);
    expect(growing.update('```rust\nfn main() {}\n```\n\nDone', false)).toMatchObject([
      { kind: 'code', code: 'fn main() {}', open: false },
      { kind: 'html' },
    ]);
  });

  it('resolves links that are defined at the end', () => {
    const growing = new GrowingMarkdown();
    const text = 'See [here][x].\n\nMore\n\nAnd more\n\nEven more\n\n[x]: https://example.org';
    for (let length = 1; length < text.length; length++) growing.update(text.slice(0, length), false);
    expect(growing.update(text, true)[0]).toMatchObject({
      html: expect.stringContaining('href="https://example.org"') as string,
    });
  });
});

describe('mathematics', () => {
  const formulas = (text: string): string[] =>
    blocksOf(text).flatMap((block) =>
      block.kind === 'html'
        ? [...block.html.matchAll(/data-tex="([^"]*)" data-display="(\w+)"/g)].map(
            (found) => `${found[1]}|${found[2]}`,
          )
        : [],
    );

  it('is found in dollars and in brackets', () => {
    expect(formulas('$x^2$ and \\(y\\) and $$z$$ and \\[w\\]')).toEqual([
      'x^2|false',
      'y|false',
      'z|true',
      'w|true',
    ]);
    expect(formulas('Text\n\n$$\na\n\nb\n$$\n\nmore')).toEqual(['a\n\nb|true']);
    expect(formulas('\\[\nx < y\n\\]')).toEqual(['x &lt; y|true']);
  });

  it('is not seen in prices, in code or in open dollars', () => {
    expect(formulas('It costs $5 and $6, or $ 5 $, or US$10 to US$20.')).toEqual([]);
    expect(formulas('`$x$` and\n\n```\n$x$\n```')).toEqual([]);
    expect(formulas('Just one $ and \\$x\\$')).toEqual([]);
  });
});

it('tells the text without its marks', () => {
  expect(plain('# Title\n\n- **a** and `b` [c](d)\n\n```\ncode\n```\nend')).toBe('Title a and b c end');
});

describe('a long list', () => {
  const items = (count: number): string =>
    Array.from({ length: count }, (_, n) => `3${n}. item ${n}`).join('\n');

  it('is several blocks that go on with each other', () => {
    const blocks = blocksOf(`Before\n\n${items(70).replace(/^30\./, '5.')}\n\nAfter`);
    expect(blocks.map((block) => block.kind === 'html' && block.more)).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
    const html = blocks.map((block) => (block.kind === 'html' ? block.html : ''));
    expect(html[1]).toMatch(/^<ol start="5">/);
    expect(html[2]).toMatch(/^<ol start="35">/);
    expect(html[3]).toMatch(/^<ol start="65">/);
    expect(html.join('').match(/<li>item \d+<\/li>/g)).toHaveLength(70);
  });

  it('is made anew only at its end while it grows', () => {
    const growing = new GrowingMarkdown();
    const text = Array.from({ length: 100 }, (_, n) => `- item ${n}`).join('\n');
    const before = growing.update(text, false);
    const after = growing.update(`${text}\n- one more`, false);
    expect(after.slice(0, 3).every((block, at) => block === before[at])).toBe(true);
    expect(after[3]).not.toBe(before[3]);
    // Complete, it is the same as if it had come at once.
    expect(growing.update(`${text}\n- one more`, true)).toEqual(blocksOf(`${text}\n- one more`));
  });

  it('with paragraphs in it stays whole', () => {
    const loose = Array.from({ length: 50 }, (_, n) => `- item ${n}\n\n  more`).join('\n\n');
    expect(blocksOf(loose)).toHaveLength(1);
  });

  it('keeps what is folded together, whatever blank lines part it', () => {
    const text = '<details><summary>More</summary>\n\nOne.\n\n- two\n\n</details>\n\nAfter.';
    const [folded, after, ...rest] = blocksOf(text);
    expect(folded).toMatchObject({ kind: 'html' });
    expect((folded as { html: string }).html).toMatch(/<details>[\s\S]*One\.[\s\S]*two[\s\S]*<\/details>/);
    expect(after).toMatchObject({ kind: 'html', html: '<p>After.</p>\n' });
    expect(rest).toEqual([]);
    // Its end may stand in a paragraph; in a comment, a value or code it is no beginning.
    expect(blocksOf('<details><summary>More</summary>\n\nOne.</details>\n\nAfter.')).toHaveLength(2);
    for (const none of ['<!-- <details> -->', '<pre><details></pre>', '<p title="<details>"></p>'])
      expect(blocksOf(`${none}\n\nOne.\n\nTwo.`)).toHaveLength(3);
    // One that is never closed takes what follows, but not without end.
    expect(blocksOf('<details>\n\nOne.\n\nTwo.')).toHaveLength(1);
    const many = Array.from({ length: 100 }, (_, n) => `Paragraph ${n}.`).join('\n\n');
    expect(blocksOf(`<details>\n\n${many}`).length).toBeGreaterThan(50);
  });

  it('shows what is nested too deep as it was written', () => {
    const deep = '>'.repeat(20_000);
    expect(blocksOf(deep)).toMatchObject([{ kind: 'code', code: deep }]);
    const growing = new GrowingMarkdown();
    growing.update(deep, false);
    expect(growing.update('Fine.', true)).toMatchObject([{ kind: 'html', html: '<p>Fine.</p>\n' }]);
  });
});
