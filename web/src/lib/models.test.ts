import { afterEach, expect, it, vi } from 'vitest';
import { chatModels, loadModels, modelHint } from './models.svelte';

afterEach(() => vi.unstubAllGlobals());

/** So many models, answered in pages as the server does. */
function serve(total: number, hint?: string): void {
  vi.stubGlobal('fetch', async (request: Request) => {
    const query = new URL(request.url).searchParams;
    const [page, rows] = [Number(query.get('page') ?? 1), Number(query.get('per_page') ?? 20)];
    const all = Array.from({ length: total }, (_, n) => ({
      id: `model-${n}`,
      kind: n === 1 ? 'embedding' : 'chat',
    }));
    const meta = { page, per_page: rows, total, pages: Math.ceil(total / rows) };
    const data = all.slice((page - 1) * rows, page * rows);
    return new Response(JSON.stringify({ data, meta, ...(hint && { hint }) }), {
      headers: { 'content-type': 'application/json' },
    });
  });
}

it('has all the models, however many pages they fill, in their order', async () => {
  serve(230);
  await loadModels();
  const ids = chatModels().map((one) => one.id);
  expect(ids).toHaveLength(229);
  expect([ids[0], ids[1], ids.at(-1)]).toEqual(['model-0', 'model-2', 'model-229']);
  expect(modelHint()).toBeNull();
});

it('tells what to do when there is none', async () => {
  serve(0, 'Fetch one.');
  await loadModels();
  expect(chatModels()).toEqual([]);
  expect(modelHint()).toBe('Fetch one.');
});
