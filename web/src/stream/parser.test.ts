import { describe, expect, it } from 'vitest';
import { EventParser, read, type StreamEvent } from './parser';

const TEXT = [
  'event: start\ndata: {"run_id":"r","message_id":"m"}\nid: 1-1\n\n',
  'data: {"text":"Grüße, 世界 🐋","offset":0}\nid: 1-2\n\n',
  ': \n\n',
  'data: one\ndata: two\nid: 1-3\n\n',
  'event: end\ndata: {}\nid: 1-4\n\n',
].join('');

const EXPECTED: StreamEvent[] = [
  { kind: 'start', data: '{"run_id":"r","message_id":"m"}', id: '1-1' },
  { kind: '', data: '{"text":"Grüße, 世界 🐋","offset":0}', id: '1-2' },
  { kind: '', data: 'one\ntwo', id: '1-3' },
  { kind: 'end', data: '{}', id: '1-4' },
];

function parse(chunks: (Uint8Array | string)[]): StreamEvent[] {
  const events: StreamEvent[] = [];
  const parser = new EventParser();
  for (const chunk of chunks) parser.push(chunk, (event) => events.push(event));
  return events;
}

describe('EventParser', () => {
  const bytes = new TextEncoder().encode(TEXT);

  it('reads whole streams', () => {
    expect(parse([bytes])).toEqual(EXPECTED);
  });

  it('does not care where chunks end, even within a character', () => {
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(parse([bytes.slice(0, cut), bytes.slice(cut)])).toEqual(EXPECTED);
    }
    expect(parse(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(EXPECTED);
  });

  it('takes CRLF and CR as line ends, also when split between the two', () => {
    for (const end of ['\r\n', '\r']) {
      const text = TEXT.replaceAll('\n', end);
      // With a lone CR the last blank line is complete once anything follows.
      expect(parse([text, ': '])).toEqual(EXPECTED);
      expect(parse([...text, ': '])).toEqual(EXPECTED);
    }
  });

  it('ignores comments, unknown fields, a byte order mark and events without data', () => {
    expect(parse(['\ufeff: hi\nretry: 5\nfoo\nid: 9\n\nevent: x\n\ndata:a\n\n'])).toEqual([
      { kind: '', data: 'a', id: null },
    ]);
  });

  it('forgets an event that was not finished', () => {
    expect(parse(['data: a\n\ndata: b\n'])).toEqual([{ kind: '', data: 'a', id: null }]);
  });

  it('keeps ids with their event, and ids with NUL away', () => {
    expect(parse(['data: a\nid: 1-1\n\ndata: b\n\ndata: c\nid: x\0y\n\n']).map((event) => event.id)).toEqual([
      '1-1',
      null,
      null,
    ]);
  });
});

describe('read', () => {
  it('tells of every chunk and gives the events in batches', async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        const encoder = new TextEncoder();
        controller.enqueue(encoder.encode(': \n\n'));
        controller.enqueue(encoder.encode('data: a\n\ndata: b\n\nda'));
        controller.enqueue(encoder.encode('ta: c\n\n'));
        controller.close();
      },
    });
    let chunks = 0;
    const batches: string[][] = [];
    for await (const events of read(new Response(body), () => (chunks += 1)))
      batches.push(events.map((event) => event.data));
    expect(batches).toEqual([['a', 'b'], ['c']]);
    expect(chunks).toBe(3);
  });
});
