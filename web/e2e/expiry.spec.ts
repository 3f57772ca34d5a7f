// Tokens that last two seconds: nobody notices.
import { expect, test } from './fixtures.ts';
import { Person } from './person.ts';
import { Sidebar, Talk, words } from './talk.ts';

test.use({ settings: { accessTtl: '2s' } });

test('an expired session is renewed unseen', async ({ page, context, person }) => {
  const talk = await Talk.open(page);
  const access = async () =>
    (await context.cookies()).find((cookie) => cookie.name === 'tertulia_access')?.value;
  const before = await access();
  await expect.poll(access, { message: 'the cookie has expired' }).toBeUndefined();
  const renewed = page.waitForResponse('**/auth/refresh');
  await talk.ask('Still there? !script tokens=6');
  expect((await renewed).status()).toBe(200);
  await expect(talk.text).toHaveText(words(6));
  expect(await access()).not.toBe(before);
  expect(await person.messages(talk.id)).toHaveLength(2);
});

test('an answer goes on longer than its token', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.ask('Slowly !script tokens=60 delay=60ms');
  await expect(talk.text).toHaveText(words(60));
  expect((await person.messages(talk.id))[1]?.content.trim()).toBe(words(60));
});

test('many requests of two tabs renew once each time', async ({ page, context, person }) => {
  await person.conversation('In both', 'Hello !script tokens=3');
  await Talk.open(page);
  const second = await context.newPage();
  await Talk.open(second);
  const left = async () => (await context.cookies()).some((cookie) => cookie.name === 'tertulia_access');
  await expect.poll(left).toBe(false);
  for (const tab of [page, second]) await tab.reload();
  for (const tab of [page, second]) {
    await expect(new Sidebar(tab).row('In both')).toBeVisible();
    await expect(new Talk(tab).composer).toBeVisible();
  }
});

test('when the session has become somebody else’s, the page begins anew as theirs', async ({
  page,
  context,
  person,
}) => {
  const { id } = await person.conversation('Of the first', 'Hello !script tokens=3');
  const talk = await Talk.open(page, id);
  const sidebar = new Sidebar(page);
  await expect(sidebar.row('Of the first')).toBeVisible();
  await talk.composer.fill('A draft of the first');
  // In this browser, but not by this page: say, by a program that shares its cookies.
  const second = await Person.register(context, person.url, 'Bea Conde');
  await second.conversation('Of the second', 'Hello !script tokens=3');
  const loaded = page.waitForEvent('load');
  // The token expires, and the next request renews a session that is not the one that is shown.
  await expect
    .poll(async () => (await context.cookies()).some((cookie) => cookie.name === 'tertulia_access'))
    .toBe(false);
  await sidebar.search.fill('whatever');
  await loaded;
  await expect(page.getByRole('button', { name: /Bea Conde/ })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'This conversation is not here' })).toBeVisible();
  await expect(sidebar.row('Of the second')).toBeVisible();
  await expect(sidebar.row('Of the first')).toHaveCount(0);
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage }))).not.toContain('draft of the first');
});
