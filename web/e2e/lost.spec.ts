// What is lost on the way comes back: reloads, networks, the server itself.
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
