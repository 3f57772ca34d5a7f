// What is lost on the way comes back: reloads, networks, the server itself.
import type { Route } from '@playwright/test';
import { expect, test } from './fixtures.ts';
import { Network, Talk, words } from './talk.ts';

test('a reload in the middle of an answer loses nothing', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.send('Reload me !script tokens=80 delay=50ms');
  await talk.reached(8);
  await page.reload();
  await talk.reached(12);
  await expect(talk.stop).toBeVisible();
  await expect(talk.prompts).toHaveCount(1);
  await talk.settled();
  await expect(talk.text).toHaveText(words(80));
  expect(await person.messages(talk.id)).toHaveLength(2);
});

test('without a network it says so, and goes on when it is back', async ({ page, person }) => {
  const network = await Network.of(page);
  const talk = await Talk.open(page);
  await talk.send('Cut me off !script tokens=100 delay=50ms');
  await talk.reached(6);
  await network.gone();
  await expect(page.getByText('Reconnecting…')).toBeVisible();
  // It goes on being written meanwhile.
  const seen = (await talk.text.innerText()).trim();
  await expect
    .poll(async () => (await person.messages(talk.id)).at(-1)?.content.length ?? 0, { timeout: 20_000 })
    .toBeGreaterThan(0);
  expect((await talk.text.innerText()).trim()).toBe(seen);
  await network.fast();
  await expect(page.getByText('Reconnecting…')).toBeHidden();
  await talk.settled();
  await expect(talk.text).toHaveText(words(100));
  await expect(talk.prompts).toHaveCount(1);
});

test('cut again and again, the text is the true one', async ({ page, person: _ }) => {
  const network = await Network.of(page);
  const talk = await Talk.open(page);
  await talk.send('Again and again !script tokens=150 delay=40ms unicode');
  for (const token of [10, 40, 80]) {
    await expect(talk.text).toContainText(`ü${token}`);
    await network.gone();
    await expect(page.getByText('Reconnecting…')).toBeVisible();
    await network.fast();
    await expect(page.getByText('Reconnecting…')).toBeHidden();
  }
  await talk.settled();
  await expect(talk.text).toHaveText(Array.from({ length: 150 }, (_, n) => `ü${n}😀`).join(' '));
});

test('a prompt sent without a network goes out once when it is back', async ({ page, person }) => {
  const network = await Network.of(page);
  const { id } = await person.conversation('Far away', 'Hello !script tokens=2');
  const talk = await Talk.open(page, id);
  await network.gone();
  await talk.send('Into the void !script tokens=5');
  await expect(talk.prompts).toHaveCount(2);
  await expect(page.getByText('Reconnecting…')).toBeVisible();
  await network.fast();
  await talk.settled();
  await expect(talk.text).toHaveText(words(5));
  expect((await person.messages(id)).filter(({ role }) => role === 'user')).toHaveLength(2);
});

test('on a slow network the answer still comes as it is written', async ({ page, person: _ }) => {
  const network = await Network.of(page);
  const talk = await Talk.open(page);
  await network.slow();
  await talk.send('Slowly !script tokens=60 delay=40ms');
  await expect(talk.prompts).toHaveCount(1);
  await talk.reached(5);
  await expect(talk.stop).toBeVisible();
  await talk.settled();
  await expect(talk.text).toHaveText(words(60));
});

test('a server that is killed and comes back shows what is true', async ({ page, world, person }) => {
  const talk = await Talk.open(page);
  await talk.send('Kill it !script tokens=3000 delay=20ms');
  await talk.reached(60);
  await world.kill();
  await expect(page.getByText('Reconnecting…')).toBeVisible();
  const shown = (await talk.text.innerText()).trim();
  await world.launch();
  await talk.settled();
  const answer = (await person.messages(talk.id)).at(-1);
  expect(answer?.status).toBe('interrupted');
  const kept = answer?.content.trim() ?? '';
  expect(kept).toBe(words(kept.split(' ').length));
  expect(shown).toBe(words(shown.split(' ').length));
  // Not what was seen, but what was kept.
  await expect(talk.text).toHaveText(kept);
  await expect(talk.answers.last()).toContainText('The server was interrupted while this was written');
  await talk.ask('Still there? !script tokens=4');
  await expect(talk.text).toHaveText(words(4));
});

test('what was read and never kept is taken back', async ({ page, world, person }) => {
  await world.kill();
  await world.launch('runs.append.before=abort@8');
  const talk = await Talk.open(page);
  let goOn = (): void => {};
  const waiting = new Promise<void>((resolve) => (goOn = resolve));
  let told = '';
  await page.route('**/runs/*/events', async (route) => {
    await waiting;
    const response = await route.fetch();
    told = await response.text();
    await route.fulfill({ response, body: told });
  });
  await talk.send('Forget the end !script tokens=3000 delay=20ms');
  // It dies with words that it has given out and was about to keep.
  await expect.poll(() => world.serving, { timeout: 30_000 }).toBe(false);
  await expect(page.getByText('Reconnecting…')).toBeVisible();
  await world.launch();
  const stored = async () => (await person.messages(talk.id)).at(-1);
  await expect.poll(async () => (await stored())?.status).toBe('interrupted');
  const kept = (await stored())?.content.trim() ?? '';
  expect(kept).toBe(words(kept.split(' ').length));
  await expect(talk.text).toContainText(`${kept} w`);
  goOn();
  await talk.settled();
  expect(told).toContain('event: reset\n');
  await expect(talk.answers.last()).toContainText('What was read last had not been kept');
  await expect(talk.text).toHaveText(kept);
  await expect(talk.answers.last()).toContainText('The server was interrupted while this was written');
});

test('an answer that begins again says so, and keeps nothing of its first half', async ({ page, person }) => {
  const { id } = await person.conversation('Twice', 'Hello !script tokens=2');
  const talk = await Talk.open(page, id);
  await expect(talk.prompts).toHaveCount(1);
  const prompt = 'Begin again !script tokens=40 first=4s delay=20ms';
  const event = (kind: string, data: object, at: string): string =>
    `${kind ? `event: ${kind}\n` : ''}data: ${JSON.stringify(data)}\nid: ${at}\n\n`;
  const fulfil = (route: Route, ...events: string[]): Promise<void> =>
    route.fulfill({ contentType: 'text/event-stream', body: events.join('') });
  // Ours is the answer that its provider breaks off; the one that takes its place is the server's.
  let answered: Promise<unknown> | undefined;
  await page.route('**/messages/stream', async (route) => {
    answered = person.post(`/sessions/${id}/messages`, { prompt });
    let run: string | null = null;
    await expect
      .poll(async () => {
        run ??= (await person.get<{ active_run: string | null }>(`/sessions/${id}`)).active_run;
        return run;
      })
      .not.toBeNull();
    const start = event('start', { run_id: run }, '0-1');
    await fulfil(route, start, event('', { text: 'The half that is lost ', offset: 0 }, '0-2'));
  });
  const gates = [0, 1].map(() => {
    let open = (): void => {};
    return { passed: new Promise<void>((resolve) => (open = resolve)), open };
  });
  let connections = 0;
  await page.route('**/runs/*/events', async (route) => {
    const connection = connections++;
    await gates[connection]?.passed;
    if (connection === 0) {
      return fulfil(route, event('reset', { text: '', reason: 'provider_failed' }, '0-3'));
    }
    const headers = route.request().headers();
    delete headers['last-event-id'];
    await route.continue({ headers });
  });
  await talk.send(prompt);
  const answer = talk.answers.last();
  const note = answer.getByText('The answer started again.');
  await expect(answer).toContainText('The half that is lost');
  await expect(note).toBeHidden();
  gates[0]?.open();
  await expect(note).toBeVisible();
  await expect(answer).not.toContainText('The half that is lost');
  await expect(talk.stop).toBeVisible();
  gates[1]?.open();
  await talk.settled();
  await expect(talk.text).toHaveText(words(40));
  // Whoever has read the first half, or heard it, is told also afterwards.
  await expect(note).toBeVisible();
  await answered;
  const messages = await person.messages(id);
  expect(messages).toHaveLength(4);
  expect(messages.at(-1)).toMatchObject({ content: `${words(40)} `, status: 'complete' });
});

test('a page that is opened while the server is away says so', async ({ page, world, person }) => {
  const { id } = await person.conversation('Patience', 'Hello !script tokens=3');
  const talk = await Talk.open(page, id);
  await world.kill();
  await page.getByRole('link', { name: 'New conversation' }).click();
  await talk.send('Anybody? !script tokens=3');
  await expect(page.getByText('The server cannot be reached.')).toBeVisible();
  await expect(talk.composer).toHaveValue('Anybody? !script tokens=3');
  await world.launch();
  const unsent = page.getByRole('alert').filter({ hasText: 'This was not sent' });
  await unsent.getByRole('button', { name: 'Try again' }).click();
  await talk.settled();
  await expect(talk.text).toHaveText(words(3));
});
