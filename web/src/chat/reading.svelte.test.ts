import { describe, expect, it } from 'vitest';
import type { MessageView } from '../api/client';
import { Reading, type Page } from './reading.svelte';

/** A server with a tree of messages: ids are `<branch><depth>`. */
class Server {
  branch: MessageView[] = [];
  readonly asked: string[] = [];
  /** Runs before each answer. */
  meanwhile: () => void = () => {};

  constructor(depth: number) {
    this.grow('a', 0, depth);
  }

  /** A branch that leaves the present one at a depth. */
  grow(name: string, from: number, to: number): void {
    this.branch = this.branch.slice(0, from);
    for (let depth = from; depth < to; depth++)
      this.branch.push(message(`${name}${depth}`, this.branch.at(-1), depth));
  }

  fetch = async (query: { page?: number; per_page: number; before?: string }): Promise<Page> => {
    this.asked.push(query.before ? `before ${query.before}` : `page ${query.page ?? 1}`);
    this.meanwhile();
    const at = query.before ? this.branch.findIndex((row) => row.id === query.before) : this.branch.length;
    if (at < 0) throw new Error('404');
    const rows = this.branch.slice(0, at);
    const end = Math.max(0, rows.length - ((query.page ?? 1) - 1) * query.per_page);
    return { data: rows.slice(Math.max(0, end - query.per_page), end), meta: { total: rows.length } };
  };
}

function message(id: string, parent: MessageView | undefined, depth: number): MessageView {
  return {
    id,
    parent_id: parent?.id ?? null,
    depth,
    conversation_id: 'c',
    role: depth % 2 === 0 ? 'user' : 'assistant',
    content: id,
    status: 'complete',
    created_at: '2026-01-01T00:00:00Z',
    sibling_ids: [id],
    sibling_index: 0,
  };
}

const depths = (reading: Reading): number[] => reading.rows.map((row) => row.depth);
const unbroken = (reading: Reading): boolean =>
  reading.rows.every((row, at) => at === 0 || row.parent_id === reading.rows[at - 1]?.id);

async function opened(server: Server): Promise<Reading> {
  const reading = new Reading(server.fetch);
  reading.take(await reading.newest());
  return reading;
}

async function around(reading: Reading, id: string): Promise<boolean> {
  const { depth, rows } = await reading.above(id);
  return reading.around(id, depth, rows);
}

describe('the messages that are loaded', () => {
  it('are the newest ones, and go up', async () => {
    const reading = await opened(new Server(100));
    expect(depths(reading).at(0)).toBe(80);
    await reading.loadOlder();
    expect(depths(reading).at(0)).toBe(50);
    expect(unbroken(reading)).toBe(true);
    expect(reading.detached).toBe(false);
  });

  it('are those around a message that is far up, with few requests', async () => {
    const server = new Server(10_000);
    const reading = await opened(server);
    server.asked.length = 0;
    expect(await around(reading, 'a1234')).toBe(true);
    expect(server.asked).toEqual(['before a1234', 'page 1', 'page 176']);
    expect(reading.detached).toBe(true);
    expect(reading.has('a1234')).toBe(true);
    expect(depths(reading)[0]).toBe(1204);
    expect(unbroken(reading)).toBe(true);
  });

  it('go down again without a gap, while others write', async () => {
    const server = new Server(400);
    const reading = await opened(server);
    await around(reading, 'a20');
    let more = 400;
    server.meanwhile = () => {
      if (more < 420) server.branch.push(message(`a${more}`, server.branch.at(-1), more++));
    };
    for (let n = 0; reading.detached && n < 20; n++) await reading.loadNewer();
    expect(reading.detached).toBe(false);
    expect(unbroken(reading)).toBe(true);
    expect(depths(reading).at(0)).toBe(0);
    expect(depths(reading).at(-1)).toBeGreaterThanOrEqual(419);
    expect(new Set(depths(reading)).size).toBe(reading.rows.length);
  });

  it('near the end stay joined to it', async () => {
    const reading = await opened(new Server(400));
    expect(await around(reading, 'a370')).toBe(true);
    expect(reading.detached).toBe(false);
    expect(depths(reading).at(-1)).toBe(399);
  });

  it('of another branch are not found on this one', async () => {
    const server = new Server(300);
    const reading = await opened(server);
    const above = await reading.above('a150');
    const rows = reading.rows;
    server.grow('b', 100, 400);
    expect(await reading.around('a150', above.depth, above.rows)).toBe(false);
    expect(reading.rows).toBe(rows);
    // Nor where the branch is too short for it.
    server.grow('c', 100, 120);
    expect(await reading.around('a150', above.depth, above.rows)).toBe(false);
  });

  it('stay where they are read while the end grows, until somebody goes there', async () => {
    const server = new Server(400);
    const reading = await opened(server);
    await around(reading, 'a20');
    const before = depths(reading);
    server.grow('a', 400, 410);
    reading.take(await reading.newest());
    expect(depths(reading)).toEqual(before);
    reading.take(await reading.newest(), true);
    expect(reading.detached).toBe(false);
    expect(depths(reading).at(-1)).toBe(409);
    expect(unbroken(reading)).toBe(true);
  });

  it('join the end when it comes to where they are', async () => {
    const server = new Server(400);
    const reading = await opened(server);
    await around(reading, 'a20');
    const last = reading.rows.at(-1)?.depth ?? 0;
    // Somebody began a branch at what is read here.
    server.grow('b', last + 1, last + 3);
    reading.take(await reading.newest());
    expect(reading.detached).toBe(false);
    expect(reading.rows.slice(-2).map((row) => row.id)).toEqual([`b${last + 1}`, `b${last + 2}`]);
    expect(unbroken(reading)).toBe(true);
  });

  it('leave a branch that is not the current one any more when they go on', async () => {
    const server = new Server(400);
    const reading = await opened(server);
    await around(reading, 'a20');
    server.grow('b', 10, 300);
    await reading.loadNewer();
    expect(unbroken(reading)).toBe(true);
    expect(reading.rows.at(-1)?.id.startsWith('b')).toBe(true);
  });
});
