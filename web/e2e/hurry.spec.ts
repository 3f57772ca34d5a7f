// People do not wait for the server: what they do meanwhile counts, and nothing that was sent is lost.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk, words } from './talk.ts';
import { DEAR_MODEL, MODEL } from './world.ts';

/** Holds requests of a kind back until it is called. */
async function hold(page: Page, url: string | RegExp, method: string): Promise<() => void> {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(url, async (route) => {
    if (route.request().method() === method) await released;
    await route.continue();
  });
  return release;
}

const STREAM = /\/sessions\/[^/]+\/messages\/stream$/;

test('an answer that is stopped before the server knows of it is stopped', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.ask('Hello !script tokens=2');
  const release = await hold(page, STREAM, 'POST');
  await talk.send('Go on !script tokens=500 delay=20ms');
  await talk.stop.click();
  release();
  await expect(talk.stop).toBeHidden();
  await talk.ask('And then? !script tokens=3');
  await expect(talk.text).toHaveText(words(3));
});

test('what is typed while a conversation begins goes into it', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  const release = await hold(page, '**/sessions', 'POST');
  await talk.send('Hello !script tokens=2');
  await talk.composer.pressSequentially('And one more thing');
  release();
  await talk.settled();
  await expect(page).toHaveURL(/\/c\//);
  await expect(talk.composer).toHaveValue('And one more thing');
  await talk.composer.press('Enter');
  await expect(talk.prompts).toHaveCount(2);
  // And nowhere else.
  await page.getByRole('link', { name: 'New conversation' }).click();
  await expect(page).toHaveURL(/\/app$/);
  await expect(talk.composer).toHaveValue('');
});

test('who goes somewhere else while a conversation begins stays there', async ({ page, person }) => {
  const { id } = await person.conversation('Elsewhere', 'Hello !script tokens=2');
  const talk = await Talk.open(page);
  const sidebar = new Sidebar(page);
  const release = await hold(page, '**/sessions', 'POST');
  await talk.send('Begun in passing !script tokens=4');
  await sidebar.row('Elsewhere').click();
  await expect(talk.text).toHaveText(words(2));
  release();
  await sidebar.row('Begun in passing').click();
  await expect(talk.text).toHaveText(words(4));
  await talk.settled();
  await expect(talk.composer).toHaveValue('');
  expect(await person.messages(id)).toHaveLength(2);
});

test('what was sent arrives although one goes on to another conversation', async ({ page, person }) => {
  const { id } = await person.conversation('Left behind', 'Hello !script tokens=2');
  await person.conversation('Elsewhere', 'Hello !script tokens=3');
  const talk = await Talk.open(page, id);
  await expect(talk.text).toHaveText(words(2));
  const sidebar = new Sidebar(page);
  const release = await hold(page, STREAM, 'POST');
  await talk.send('Sent in a hurry !script tokens=6');
  await sidebar.row('Elsewhere').click();
  await expect(talk.text).toHaveText(words(3));
  release();
  await expect.poll(async () => (await person.messages(id)).length).toBe(4);
  // It goes to the top of the list; nobody clicks what is just moving away.
  await expect(sidebar.list.getByRole('link').first()).toContainText('Left behind');
  await sidebar.row('Left behind').click();
  await expect(talk.text).toHaveText(words(6));
  await expect(talk.composer).toHaveValue('');
});

test('an edit that was refused is what is tried again', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.ask('First !script tokens=2');
  await talk.composer.fill('Not yet');
  let refuse = true;
  await page.route(/\/sessions\/[^/]+\/messages\/[^/]+$/, (route) =>
    refuse && route.request().method() === 'PATCH'
      ? route.fulfill({ status: 403, json: { status: 403, code: 'forbidden', detail: 'Not now.' } })
      : route.continue(),
  );
  await talk.prompts.first().getByRole('button', { name: 'Edit this prompt' }).click();
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await editor.fill('In other words !script tokens=5');
  await editor.press('Enter');
  const unsent = page.getByRole('alert').filter({ hasText: 'This was not sent' });
  await expect(unsent).toBeVisible();
  // What is given up is not sent any more; what is changed is sent as it is then.
  const again = unsent.getByRole('button', { name: 'Try again' });
  await editor.press('Escape');
  await expect(again).toBeHidden();
  await talk.prompts.first().getByRole('button', { name: 'Edit this prompt' }).click();
  await editor.fill('In other words !script tokens=4');
  await editor.press('Enter');
  await expect(unsent).toBeVisible();
  await editor.fill('In better words !script tokens=5');
  refuse = false;
  await again.click();
  await talk.settled();
  await expect(talk.prompts).toContainText('In better words');
  await expect(talk.text).toHaveText(words(5));
  await expect(talk.prompts).toHaveCount(1);
  await expect(talk.composer).toHaveValue('Not yet');
});

test('what was refused on one branch is not sent on another', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.ask('First !script tokens=2');
  const edit = talk.prompts.first().getByRole('button', { name: 'Edit this prompt' });
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await edit.click();
  await editor.fill('Second !script tokens=3');
  await editor.press('Enter');
  await talk.settled();
  await page.route(/\/sessions\/[^/]+\/messages\/[^/]+(\/regenerate)?$/, (route) =>
    ['PATCH', 'POST'].includes(route.request().method())
      ? route.fulfill({ status: 402, json: { status: 402, code: 'insufficient_credits', detail: 'No.' } })
      : route.continue(),
  );
  const again = page.getByRole('alert').getByRole('button', { name: 'Try again' });
  const before = talk.prompts.first().getByRole('button', { name: 'Previous version' });
  const after = talk.prompts.first().getByRole('button', { name: 'Next version' });
  await edit.click();
  await editor.fill('Third !script tokens=4');
  await editor.press('Enter');
  await expect(again).toBeEnabled();
  await editor.press('Escape');
  await before.click();
  await expect(talk.text).toHaveText(words(2));
  await expect(again).toBeHidden();
  await after.click();
  await expect(talk.text).toHaveText(words(3));
  await talk.answers.last().getByRole('button', { name: 'Answer once more' }).click();
  await expect(again).toBeEnabled();
  await before.click();
  await expect(talk.text).toHaveText(words(2));
  await expect(again).toBeHidden();
  expect(await person.messages(talk.id)).toHaveLength(2);
});

test('what was sent in one tab is not to be sent again in another', async ({ page, context, person }) => {
  const { id } = await person.conversation('Once');
  const talk = await Talk.open(page, id);
  await talk.composer.fill('Pay once !script tokens=3');
  await expect.poll(() => page.evaluate(() => JSON.stringify({ ...localStorage }))).toContain('Pay once');
  const other = await Talk.open(await context.newPage(), id);
  await expect(other.composer).toHaveValue('Pay once !script tokens=3');
  await talk.composer.press('Enter');
  await talk.settled();
  await other.page.reload();
  await expect(other.answers).toHaveCount(1);
  await expect(other.composer).toHaveValue('');
});

test('the model that is shown answers, also before the server has heard of it', async ({ page, person }) => {
  const { id } = await person.conversation('Picked', 'Hello !script tokens=2');
  const talk = await Talk.open(page, id);
  await expect(talk.answers).toHaveCount(1);
  const release = await hold(page, `**/sessions/${id}`, 'PATCH');
  await page.getByRole('button', { name: `Model: ${MODEL}. Choose another one` }).click();
  await page.getByRole('option', { name: new RegExp(DEAR_MODEL) }).click();
  await talk.ask('By that one !script tokens=3');
  await talk.answers.last().getByRole('button', { name: 'Answer once more' }).click();
  await expect(talk.answers.last().getByRole('group', { name: 'Versions' })).toContainText('2/2');
  release();
  const answers = (await person.messages(id)).filter(({ role }) => role === 'assistant');
  expect(answers.map(({ model_id }) => model_id)).toEqual([MODEL, DEAR_MODEL]);
});

test('a question of an assistant that was refused can be asked again', async ({ page, person }) => {
  const { id } = await person.post<{ id: string }>(
    '/assistants',
    {
      name: 'Guide',
      model_id: MODEL,
      system_prompt: '',
      questions: ['Where is north? !script tokens=4'],
    },
    201,
  );
  const talk = new Talk(page);
  await page.goto(`/app?assistant=${id}`);
  let refuse = true;
  await page.route('**/sessions', (route) =>
    refuse && route.request().method() === 'POST'
      ? route.fulfill({ status: 503, json: { status: 503, code: 'server_busy', detail: 'Not now.' } })
      : route.continue(),
  );
  await talk.composer.fill('Something else');
  await page.getByRole('button', { name: /Where is north/ }).click();
  const again = page.getByRole('alert').getByRole('button', { name: 'Try again' });
  await expect(again).toBeEnabled();
  refuse = false;
  await again.click();
  await talk.settled();
  await expect(talk.prompts).toHaveText(/Where is north/);
  await expect(talk.text).toHaveText(words(4));
});

test('a prompt that is too long says so, and is not sent the same again', async ({ page, person }) => {
  const { id } = await person.conversation('Long');
  const talk = await Talk.open(page, id);
  await talk.composer.fill('x'.repeat(300_000));
  await talk.composer.press('Enter');
  const refused = page.getByRole('alert').filter({ hasText: 'It is too long.' });
  await expect(refused).toBeVisible();
  await expect(refused.getByRole('button', { name: 'Try again' })).toBeHidden();
  await expect(talk.composer).toHaveValue(/^x{300000}$/);
  await expect(talk.prompts).toHaveCount(0);
});

test('what is shown in one tab outlives what another one sends', async ({ page, context, person }) => {
  const { id } = await person.conversation('Twice', 'Hello !script tokens=2');
  const talk = await Talk.open(page, id);
  await talk.composer.fill('typed in the first');
  const other = await Talk.open(await context.newPage(), id);
  await other.ask('sent by the second !script tokens=3');
  await expect(talk.answers).toHaveCount(2);
  await expect(talk.composer).toHaveValue('typed in the first');
  await page.reload();
  await expect(talk.composer).toHaveValue('typed in the first');
});

test('a stray click beside a dialog loses nothing that was written', async ({ page, person: _ }) => {
  await Talk.open(page);
  await page.goto('/app/assistants');
  await page.getByRole('button', { name: 'New assistant' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('Half written');
  await page.mouse.click(5, 5);
  await expect(dialog.getByLabel('Name')).toHaveValue('Half written');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
});

test('the keyboard keeps its place when what had the focus goes', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.ask('First !script tokens=2');
  const pencil = talk.prompts.first().getByRole('button', { name: 'Edit this prompt' });
  await pencil.focus();
  await page.keyboard.press('Enter');
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await expect(editor).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(pencil).toBeFocused();
  await page.keyboard.press('Enter');
  await editor.fill('In other words !script tokens=3');
  await page.keyboard.press('Enter');
  await expect(talk.text).toHaveText(words(3));
  await talk.settled();
  await expect(talk.composer).toBeFocused();
  const versions = talk.prompts.first().getByRole('group', { name: 'Versions' });
  await versions.getByRole('button', { name: 'Previous version' }).focus();
  await page.keyboard.press('Enter');
  await expect(talk.text).toHaveText(words(2));
  await expect(versions.getByRole('button', { name: 'Next version' })).toBeFocused();
  await talk.answers.last().getByRole('button', { name: 'Answer once more' }).focus();
  await page.keyboard.press('Enter');
  await talk.settled();
  await expect(page.locator('body')).not.toBeFocused();
  await talk.send('Go on !script tokens=500 delay=20ms');
  await talk.stop.focus();
  await page.keyboard.press('Enter');
  await expect(talk.stop).toBeHidden();
  await expect(talk.composer).toBeFocused();
});
