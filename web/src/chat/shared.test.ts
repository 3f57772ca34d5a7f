import { fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { expect, it, vi } from 'vitest';
import SharedView from './SharedView.svelte';

/** Four messages of which the server gives two at once. */
const all = ['one', 'two', 'three', 'four'].map((content) => ({
  id: content,
  role: 'user',
  content,
  created_at: '2026-01-01T00:00:00Z',
  model_id: null,
}));

it('shows the end of a long conversation, and on demand what was said before', async () => {
  const asked: (string | null)[] = [];
  vi.stubGlobal('fetch', async (request: Request) => {
    const before = new URL(request.url).searchParams.get('before');
    asked.push(before);
    const page =
      before === null
        ? { messages: all.slice(2), earlier: 'three' }
        : { messages: all.slice(0, 2), earlier: null };
    return Response.json({
      title: 'Long',
      created_at: '2026-01-01T00:00:00Z',
      shared_at: '2026-01-01T00:00:00Z',
      ...page,
    });
  });
  const { container } = render(SharedView, { token: 'x' });
  const button = await screen.findByRole('button', { name: 'Show what was said before' });
  const shown = (): string[] => [...container.querySelectorAll('.row')].map((row) => row.textContent.trim());
  expect(shown()).toEqual(['You three', 'You four']);
  await fireEvent.click(button);
  await waitFor(() => expect(shown()).toEqual(['You one', 'You two', 'You three', 'You four']));
  expect(screen.queryByRole('button', { name: 'Show what was said before' })).toBeNull();
  expect(asked).toEqual([null, 'three']);
});
