// The list of conversations: days, search, and what can be done with one.
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk, words } from './talk.ts';

test('conversations are grouped by day, the newest first', async ({ page, person }) => {
  for (const title of ['Oldest', 'Middle', 'Newest'])
    await person.conversation(title, 'Hello !script tokens=2');
  const sidebar = new Sidebar(page);
  await Talk.open(page);
  await expect(sidebar.heading('Today')).toBeVisible();
  expect(await sidebar.titles()).toEqual(['Newest', 'Middle', 'Oldest']);
  // Two days later it is the same list under another heading.
  await page.clock.setSystemTime(Date.now() + 2 * 86_400_000);
  await page.reload();
  await expect(sidebar.heading('Previous 7 days')).toBeVisible();
  await expect(sidebar.heading('Today')).toBeHidden();
});

test('a long list shows only what is seen, and reaches its end', async ({ page, person }) => {
  const total = 130;
  for (let n = 0; n < total; n += 10) {
    await Promise.all(
      Array.from({ length: 10 }, (_, k) => person.post('/sessions', { title: `Number ${n + k}` }, 201)),
    );
  }
  const sidebar = new Sidebar(page);
  await Talk.open(page);
  await expect(sidebar.list.getByRole('link').first()).toBeVisible();
  expect(await sidebar.list.getByRole('link').count()).toBeLessThan(60);
  await sidebar.list.evaluate((list) => list.scrollTo(0, list.scrollHeight));
  await expect(sidebar.list.locator(`li[data-index="${total - 1}"] a`)).toBeVisible();
});

test('search finds titles and texts while one types', async ({ page, person }) => {
  await person.conversation('About whales', 'Hello !script text=They sleep upright like candles');
  await person.conversation('About bread', 'Hello !script text=It needs time');
  const sidebar = new Sidebar(page);
  await Talk.open(page);
  await page.keyboard.press('Control+k');
  await expect(sidebar.search).toBeFocused();
  const results = page.getByRole('navigation', { name: 'Search results' });
  await page.keyboard.type('candl');
  await expect(results.getByRole('link')).toHaveCount(1);
  await expect(results.getByRole('link')).toContainText('About whales');
  await expect(results.locator('mark')).toHaveText(/candl/);
  await sidebar.search.fill('about');
  await expect(results.getByRole('link')).toHaveCount(2);
  await sidebar.search.fill('nothing like it');
  await expect(results).toContainText('Nothing found for “nothing like it”.');
  await sidebar.search.fill('bread');
  await expect(results.getByRole('link')).toHaveCount(1);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'About bread' })).toBeAttached();
  await sidebar.search.press('Escape');
  await expect(sidebar.row('About whales')).toBeVisible();
});

test('renaming from the list and from the conversation', async ({ page, person }) => {
  const { id } = await person.conversation('A working title', 'Hello !script tokens=2');
  const sidebar = new Sidebar(page);
  const talk = await Talk.open(page, id);
  await sidebar.choose('A working title', 'Rename');
  const dialog = page.getByRole('dialog', { name: 'Rename' });
  await expect(dialog.getByLabel('Title')).toHaveValue('A working title');
  await dialog.getByLabel('Title').fill('The real title');
  await dialog.getByLabel('Title').press('Enter');
  await expect(sidebar.row('The real title')).toBeVisible();
  await expect(page).toHaveTitle(/The real title/);
  await talk.choose('Rename');
  await dialog.getByLabel('Title').fill('Another title');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(sidebar.row('Another title')).toBeVisible();
  // It is shown before the server has it.
  const stored = async () => (await person.get<{ title: string }>(`/sessions/${id}`)).title;
  await expect.poll(stored).toBe('Another title');
});

test('what is pinned stands above the rest', async ({ page, person }) => {
  await person.conversation('Important', 'Hello !script tokens=2');
  await person.conversation('Newer', 'Hello !script tokens=2');
  const sidebar = new Sidebar(page);
  await Talk.open(page);
  await sidebar.choose('Important', 'Pin');
  await expect(sidebar.heading('Pinned')).toBeVisible();
  await expect.poll(() => sidebar.titles()).toEqual(['Important', 'Newer']);
  await page.reload();
  await expect(sidebar.heading('Pinned')).toBeVisible();
  await sidebar.choose('Important', 'Unpin');
  await expect(sidebar.heading('Pinned')).toBeHidden();
  await expect.poll(() => sidebar.titles()).toEqual(['Newer', 'Important']);
});

test('the archive takes a conversation and gives it back', async ({ page, person }) => {
  await person.conversation('Done with', 'Hello !script tokens=2');
  await person.conversation('Going on', 'Hello !script tokens=2');
  const sidebar = new Sidebar(page);
  await Talk.open(page);
  await sidebar.choose('Done with', 'Archive');
  await expect(page.getByText('The conversation is in the archive.')).toBeVisible();
  await expect(sidebar.row('Done with')).toBeHidden();
  await page.getByRole('button', { name: 'Archive', exact: true }).click();
  await expect(sidebar.row('Done with')).toBeVisible();
  await expect(sidebar.row('Going on')).toBeHidden();
  await sidebar.choose('Done with', 'Take out of the archive');
  await expect(page.getByText('The archive is empty.')).toBeVisible();
  await page.getByRole('button', { name: 'Back from the archive' }).click();
  await expect(sidebar.row('Done with')).toBeVisible();
});

test('deleting can be undone, with everything in it', async ({ page, person }) => {
  const { id } = await person.conversation('Regretted', 'Hello !script tokens=4');
  const sidebar = new Sidebar(page);
  const talk = await Talk.open(page, id);
  await expect(talk.text).toHaveText(words(4));
  await talk.choose('Delete');
  await expect(page).toHaveURL(/\/app$/);
  await expect(sidebar.row('Regretted')).toBeHidden();
  // The page is ahead of the server; what can be undone has been done.
  const undo = page.getByRole('button', { name: 'Undo' });
  await expect(undo).toBeVisible();
  await person.call('GET', `/sessions/${id}`, undefined, 404);
  await undo.click();
  await expect(page).toHaveURL(new RegExp(id));
  await expect(talk.text).toHaveText(words(4));
  await expect(sidebar.row('Regretted')).toBeVisible();

  await sidebar.choose('Regretted', 'Delete');
  await expect(sidebar.row('Regretted')).toBeHidden();
  await expect(undo).toBeVisible();
  await page.goto(`/app/c/${id}`);
  await expect(page.getByRole('heading', { name: 'This conversation is not here' })).toBeVisible();
});

test('the keyboard stays in the list when a row goes', async ({ page, person }) => {
  for (const title of ['Third', 'Second', 'First']) await person.conversation(title);
  const sidebar = new Sidebar(page);
  await Talk.open(page);
  for (const [gone, how, next] of [
    ['Second', 'Delete', 'Third'],
    ['Third', 'Archive', 'First'],
    ['First', 'Delete', null],
  ] as const) {
    await sidebar.row(gone).focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const entry = page.getByRole('menuitem', { name: how, exact: true });
    await entry.focus();
    await page.keyboard.press('Enter');
    await expect(sidebar.row(gone)).toBeHidden();
    const heir = next ? sidebar.row(next) : page.getByRole('link', { name: 'New conversation' });
    await expect(heir).toBeFocused();
  }
});

test('a conversation is downloaded as Markdown and as JSON', async ({ page, context, person }) => {
  const { id } = await person.conversation('To keep', 'Hello !script tokens=5');
  const talk = await Talk.open(page, id);
  const read = async (choice: string, expired: boolean): Promise<{ name: string; text: string }> => {
    await page.getByRole('button', { name: 'More about this conversation' }).click();
    const item = page.getByRole('menuitem', { name: choice, exact: true });
    await expect(item).toBeVisible();
    // The browser forgets the token when it expires. A link cannot renew it.
    if (expired) await context.clearCookies({ name: 'tertulia_access' });
    const [download] = await Promise.all([page.waitForEvent('download'), item.click()]);
    const pieces: Buffer[] = [];
    for await (const piece of await download.createReadStream()) pieces.push(piece as Buffer);
    return { name: download.suggestedFilename(), text: Buffer.concat(pieces).toString() };
  };
  await expect(talk.text).toHaveText(words(5));
  for (const expired of [false, true]) {
    const markdown = await read('Download as Markdown', expired);
    expect(markdown.name).toMatch(/\.md$/);
    expect(markdown.text).toContain('To keep');
    expect(markdown.text).toContain(words(5));
    const json = await read('Download as JSON', expired);
    expect(json.name).toMatch(/\.json$/);
    expect(JSON.stringify(JSON.parse(json.text))).toContain(words(5));
  }
});

test('an empty list and an address that leads nowhere are friendly', async ({ page, person: _ }) => {
  await Talk.open(page);
  await expect(page.getByText('Your conversations will be listed here.')).toBeVisible();
  await page.goto('/app/nothing/here');
  await expect(page.getByRole('heading', { name: 'There is nothing here' })).toBeVisible();
  await page
    .getByRole('link', { name: 'Back to the conversations' })
    .or(page.getByRole('button', { name: 'Back to the conversations' }))
    .click();
  await expect(new Talk(page).composer).toBeVisible();
});
