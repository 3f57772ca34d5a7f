// Many tabs of one browser share six connections to the server.
import type { Page, Request } from '@playwright/test';
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk, words } from './talk.ts';

const TABS = 8;

/** As if another tab was in front, or this one again. */
async function look(page: Page, state: 'hidden' | 'visible'): Promise<void> {
  await page.evaluate((now) => {
    Object.defineProperty(document, 'visibilityState', { get: () => now, configurable: true });
    Object.defineProperty(document, 'hidden', { get: () => now === 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
}

test('eight tabs all work, each with an answer that is being written', async ({ context, person }) => {
  test.setTimeout(120_000);
  const talks: Talk[] = [];
  for (let n = 0; n < TABS; n++) {
    const { id } = await person.conversation(`Tab ${n}`);
    talks.push(await Talk.open(await context.newPage(), id));
  }
  const listeners: Request[] = [];
  context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/events') listeners.push(request);
  });
  for (const [n, talk] of talks.entries()) await talk.send(`Number ${n} !script tokens=4000 delay=30ms`);
  // None of them ends meanwhile: each goes on, though they cannot be read all at once.
  await Promise.all(talks.map((talk) => talk.reached(20, { timeout: 60_000 })));
  // Requests get through meanwhile, and what they change is told to every tab.
  const [first] = talks as [Talk];
  await first.choose('Rename');
  await first.page.getByRole('dialog').getByLabel('Title').fill('Renamed meanwhile');
  await first.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  for (const { page } of talks) await expect(new Sidebar(page).row('Renamed meanwhile')).toBeVisible();
  for (const talk of talks) await talk.stop.click();
  await Promise.all(talks.map((talk) => talk.settled()));
  for (const [n, talk] of talks.entries()) {
    const stored = (await person.messages(talk.id)).at(-1)?.content.trim() ?? '';
    expect(stored).toBe(words(stored.split(' ').length));
    await expect(talk.text).toHaveText(stored);
    await expect(talk.prompts.last()).toContainText(`Number ${n}`);
    await expect(talk.page.getByText('Reconnecting…')).toHaveCount(0);
  }
  // One of them listened for all; when it closes, another does.
  expect(listeners).toHaveLength(0);
  await talks.shift()?.page.close();
  await expect.poll(() => listeners.length).toBe(1);
  await person.conversation('Told to the others', 'Hello !script tokens=2');
  for (const { page } of talks) await expect(new Sidebar(page).row('Told to the others')).toBeVisible();
});

test('a tab that is not looked at leaves its place, and goes on where it was', async ({ page, person }) => {
  const streams: Request[] = [];
  const over: Request[] = [];
  const isStream = (request: Request): boolean =>
    /\/(messages\/stream|runs\/[^/]+\/events)$/.test(new URL(request.url()).pathname);
  page.on('request', (request) => isStream(request) && streams.push(request));
  page.on('requestfailed', (request) => isStream(request) && over.push(request));
  page.on('requestfinished', (request) => isStream(request) && over.push(request));
  const talk = await Talk.open(page);
  await talk.send('Meanwhile !script tokens=250 delay=30ms');
  await talk.reached(5);
  expect(streams).toHaveLength(1);
  await look(page, 'hidden');
  await expect.poll(() => over.length).toBe(1);
  const shown = (await talk.text.textContent())?.trim() ?? '';
  // It is written on, but nobody reads it here.
  await expect
    .poll(async () => (await person.get<{ active_run: string | null }>(`/sessions/${talk.id}`)).active_run)
    .not.toBeNull();
  expect((await talk.text.textContent())?.trim()).toBe(shown);
  expect(streams).toHaveLength(1);
  await look(page, 'visible');
  await talk.settled();
  await expect(talk.text).toHaveText(words(250));
  expect(streams).toHaveLength(2);
  expect(streams[1]?.headers()['last-event-id']).toMatch(/^\d+-\d+$/);
  await expect(page.getByText('Reconnecting…')).toHaveCount(0);
});

test('a tab that listens and is put to sleep is replaced', async ({ page, context, person }) => {
  const listened: Page[] = [];
  context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/events') listened.push(request.frame().page());
  });
  await Talk.open(page);
  await expect.poll(() => listened.length).toBe(1);
  const other = await context.newPage();
  await other.clock.install();
  await Talk.open(other);
  // It runs on, but says nothing any more.
  await page.evaluate(() => {
    BroadcastChannel.prototype.postMessage = () => {};
  });
  await other.clock.fastForward(90_000);
  await expect.poll(() => listened.at(-1) === other).toBe(true);
  await person.conversation('Heard by the second', 'Hello !script tokens=2');
  await expect(new Sidebar(other).row('Heard by the second')).toBeVisible();
});
