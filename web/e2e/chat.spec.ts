// A conversation: asking, stopping, trying again, saying it differently.
import { expect, test } from './fixtures.ts';
import { Talk, words } from './talk.ts';
import { MODEL } from './world.ts';

test('an answer is read as it comes, and is the true one', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.send('Tell me about rivers !script tokens=60 delay=30ms');
  await expect(page).toHaveURL(/\/app\/c\//);
  await expect(talk.stop).toBeVisible();
  await talk.reached(5);
  expect((await talk.text.innerText()).trim()).not.toBe(words(60));
  await talk.settled();
  await expect(talk.text).toHaveText(words(60));
  const [prompt, answer] = await person.messages(talk.id);
  expect(prompt?.content).toContain('Tell me about rivers');
  expect(answer).toMatchObject({ content: `${words(60)} `, status: 'complete', end_reason: 'stop' });
  await expect(page).toHaveTitle(/Tell me about rivers/);
});

test('stopping keeps what was written', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.send('A long one !script tokens=2000 delay=20ms');
  await talk.reached(4);
  await talk.stop.click();
  await talk.settled();
  await expect(talk.answers.last()).toContainText('Stopped.');
  const [, answer] = await person.messages(talk.id);
  expect(answer?.end_reason).toBe('stopped');
  const kept = answer?.content.trim() ?? '';
  expect(kept).toBe(words(kept.split(' ').length));
  await expect(talk.text).toHaveText(kept);

  await talk.send('Another !script tokens=2000 delay=20ms');
  await talk.reached(2);
  await page.keyboard.press('Escape');
  await talk.settled();
  await expect(talk.answers.last()).toContainText('Stopped.');
});

test('an answer once more is a version beside it', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.ask('Which way? !script tokens=5');
  await talk.answers.last().getByRole('button', { name: 'Answer once more' }).click();
  const versions = talk.answers.last().getByRole('group', { name: 'Versions' });
  await expect(versions).toContainText('2/2');
  await versions.getByRole('button', { name: 'Previous version' }).click();
  await expect(versions).toContainText('1/2');
  await expect(versions.getByRole('button', { name: 'Previous version' })).toBeDisabled();
  await expect(talk.text).toHaveText(words(5));
  await versions.getByRole('button', { name: 'Next version' }).click();
  await expect(versions).toContainText('2/2');
  await page.reload();
  await expect(versions).toContainText('2/2');
  await expect(talk.prompts).toHaveCount(1);
});

test('a prompt said differently is a branch, and arrows lead between them', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.ask('First !script tokens=3');
  await talk.ask('Second !script tokens=4');
  await talk.prompts.first().hover();
  await talk.prompts.first().getByRole('button', { name: 'Edit this prompt' }).click();
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await expect(editor).toHaveValue('First !script tokens=3');
  await editor.press('Escape');
  await expect(editor).toBeHidden();
  await talk.prompts.first().getByRole('button', { name: 'Edit this prompt' }).click();
  await editor.fill('First in other words !script tokens=7');
  await editor.press('Enter');
  await expect(talk.prompts).toHaveCount(1);
  await talk.settled();
  await expect(talk.text).toHaveText(words(7));

  const versions = talk.prompts.first().getByRole('group', { name: 'Versions' });
  await expect(versions).toContainText('2/2');
  await versions.getByRole('button', { name: 'Previous version' }).click();
  await expect(talk.prompts).toHaveCount(2);
  await expect(talk.text).toHaveText(words(4));
  expect(await person.messages(talk.id)).toHaveLength(4);
  await versions.getByRole('button', { name: 'Next version' }).click();
  await expect(talk.prompts).toHaveCount(1);
  await expect(talk.text).toHaveText(words(7));
});

test('a version that is there before its answer is, is there once', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.ask('First !script tokens=3');
  await talk.ask('Second !script tokens=4');
  await talk.ask('Third !script tokens=2');
  await talk.prompts.last().getByRole('button', { name: 'Edit this prompt' }).click();
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await editor.fill('Third in other words !script tokens=7');
  await editor.press('Enter');
  await talk.settled();
  await expect(talk.text).toHaveText(words(7));
  await page.route(`**/sessions/${talk.id}`, async (route) => {
    const response = await route.fetch();
    // The server tells every device of the change as well, this one too.
    if (route.request().method() === 'PATCH') await expect(talk.text).toHaveText(words(2));
    await route.fulfill({ response });
  });
  const versions = talk.prompts.last().getByRole('group', { name: 'Versions' });
  const answered = page.waitForResponse((response) => response.request().method() === 'PATCH');
  await versions.getByRole('button', { name: 'Previous version' }).click();
  await answered;
  await expect(versions).toContainText('1/2');
  await expect(talk.prompts).toHaveCount(3);
  await expect(talk.answers).toHaveCount(3);
  await expect(talk.text).toHaveText(words(2));
});

test('copying takes what the model wrote', async ({ page, context, person }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: person.url });
  const talk = await Talk.open(page);
  await talk.ask('Copy me !script echo\nSome **bold** words');
  await talk.answers.last().getByRole('button', { name: 'Copy' }).click();
  await expect(talk.answers.last().getByRole('button', { name: 'Copied' })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('Some **bold** words');
});

test('after an answer that failed, one click asks the same prompt again', async ({ page, person }) => {
  const prompt = 'Break it !script tokens=9 delay=5ms error=4 times=1';
  const talk = await Talk.open(page);
  const sent: { path: string; body: string | null }[] = [];
  await page.route('**/messages/**', async (route) => {
    const request = route.request();
    const path = new URL(request.url()).pathname.split('/').slice(3).join('/');
    if (request.method() !== 'GET') sent.push({ path, body: request.postData() });
    await route.continue();
  });
  // The first answer breaks off after some words.
  await talk.send(prompt);
  const failed = page.getByRole('alert').filter({ hasText: 'The answer failed.' });
  await expect(failed).toBeVisible();
  const [asked, ...none] = await person.messages(talk.id);
  expect(none).toEqual([]);
  expect(asked).toMatchObject({ role: 'user', content: prompt });
  await expect(talk.prompts).toHaveCount(1);
  await expect(talk.composer).toHaveValue('');

  await failed.getByRole('button', { name: 'Try again' }).click();
  await talk.settled();
  await expect(failed).toBeHidden();
  await expect(talk.text).toHaveText(words(9));
  await expect(talk.prompts).toHaveCount(1);
  await expect(talk.composer).toHaveValue('');
  // Nothing was typed again, and no second prompt was made: the stored one was answered.
  expect(sent).toEqual([
    { path: 'messages/stream', body: JSON.stringify({ prompt, model_id: MODEL }) },
    { path: `messages/${asked?.id}/regenerate`, body: JSON.stringify({ model_id: MODEL }) },
  ]);
  const messages = await person.messages(talk.id);
  expect(messages).toHaveLength(2);
  expect(messages[0]).toEqual(asked);
  expect(messages[1]).toMatchObject({ role: 'assistant', content: `${words(9)} `, status: 'complete' });
});

test('a provider that refuses is said, costs nothing, and can be asked again', async ({ page, person }) => {
  const talk = await Talk.open(page);
  const before = await person.get<{ balance: number }>('/credits/balance');
  await talk.send('Refuse it !script status=500');
  const failed = page.getByRole('alert');
  await expect(failed).toBeVisible();
  await expect(failed.getByRole('button', { name: 'Try again' })).toBeVisible();
  expect((await person.get<{ balance: number }>('/credits/balance')).balance).toBe(before.balance);
  await expect(talk.prompts).toHaveCount(1);
  await expect(talk.prompts.last()).toContainText('Refuse it');
  // The server would tell the tests that follow that this model fails.
  await talk.ask('Well again? !script tokens=2');
});

test('what is typed and not sent stays, for each conversation', async ({ page, person }) => {
  const first = await person.conversation('First', 'Hello !script tokens=2');
  const second = await person.conversation('Second', 'Hello !script tokens=2');
  const talk = await Talk.open(page, first.id);
  await talk.composer.fill('half of the first');
  await page.getByRole('link', { name: 'Second' }).click();
  await expect(page).toHaveURL(new RegExp(second.id));
  await expect(talk.composer).toHaveValue('');
  await talk.composer.fill('half of the second');
  await page.reload();
  await expect(talk.composer).toHaveValue('half of the second');
  await page.getByRole('link', { name: 'First' }).click();
  await expect(talk.composer).toHaveValue('half of the first');
  await talk.ask('all of the first !script tokens=2');
  await page.reload();
  await expect(talk.prompts).toHaveCount(2);
  await expect(talk.composer).toHaveValue('');
});

test('what was changed of a prompt and not sent is there again', async ({ page, person }) => {
  const first = await person.conversation('First', 'Hello !script tokens=2');
  await person.conversation('Second', 'Hello !script tokens=2');
  const talk = await Talk.open(page, first.id);
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  const edit = (): Promise<void> =>
    talk.prompts.first().getByRole('button', { name: 'Edit this prompt' }).click();
  await edit();
  await editor.fill('half of it');
  await page.getByRole('link', { name: 'Second' }).click();
  await expect(page).not.toHaveURL(new RegExp(first.id));
  await page.getByRole('link', { name: 'First' }).click();
  await edit();
  await expect(editor).toHaveValue('half of it');
  await page.reload();
  await edit();
  await expect(editor).toHaveValue('half of it');
  // Given up, it is forgotten; so it is when it was sent.
  await editor.press('Escape');
  await edit();
  await expect(editor).toHaveValue('Hello !script tokens=2');
  await editor.fill('All of it !script tokens=3');
  await editor.press('Enter');
  await talk.settled();
  await expect(talk.text).toHaveText(words(3));
  await talk.prompts
    .first()
    .getByRole('group', { name: 'Versions' })
    .getByRole('button', { name: 'Previous version' })
    .click();
  await expect(talk.text).toHaveText(words(2));
  await edit();
  await expect(editor).toHaveValue('Hello !script tokens=2');
});

test('a conversation that is busy says so, and its answer can be stopped', async ({ page, person }) => {
  const { id } = await person.conversation('Busy');
  const talk = await Talk.open(page, id);
  // Somebody else's prompt arrives at the moment this one is sent.
  let first = true;
  await page.route('**/messages/stream', async (route) => {
    if (!first) return route.continue();
    first = false;
    void person.post(`/sessions/${id}/messages`, { prompt: 'Mine !script tokens=3000 delay=20ms' });
    await expect
      .poll(async () => (await person.get<{ active_run: string | null }>(`/sessions/${id}`)).active_run)
      .not.toBeNull();
    await route.continue();
  });
  await talk.send('Me too');
  await expect(page.getByText('An answer is being written here')).toBeVisible();
  await expect(talk.composer).toHaveValue('Me too');
  await page.getByRole('button', { name: 'Stop it' }).click();
  await talk.settled();
  await expect(talk.composer).toHaveValue('Me too');
});

test('instructions for a conversation reach the model', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await page.getByRole('button', { name: 'Add instructions' }).click();
  const dialog = page.getByRole('dialog', { name: 'Instructions for this conversation' });
  await dialog.getByLabel('Instructions').fill('Answer like a pirate.');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('button', { name: 'Change the instructions' })).toBeVisible();
  await talk.ask('Hello !script tokens=3');
  const stored = await person.get<{ system_prompt: string }>(`/sessions/${talk.id}`);
  expect(stored.system_prompt).toBe('Answer like a pirate.');
  await page.getByRole('button', { name: 'Change the instructions' }).click();
  await dialog.getByLabel('Instructions').fill('');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('button', { name: 'Add instructions' })).toBeVisible();
  expect(
    (await person.get<{ system_prompt: string | null }>(`/sessions/${talk.id}`)).system_prompt,
  ).toBeNull();
});
