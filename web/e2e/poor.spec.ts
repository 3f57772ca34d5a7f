// With hardly any credits.
import { expect, test } from './fixtures.ts';
import { Person } from './person.ts';
import { clean } from './rules.ts';
import { Talk, words } from './talk.ts';
import { ADMIN, DEAR_MODEL, MODEL } from './world.ts';

test.use({ settings: { grant: 0.1 } });

test('without credits it is said what to do, and the text stays', async ({ page, person, elsewhere }) => {
  const talk = await Talk.open(page);
  await talk.ask('More than I have !script tokens=200');
  await expect(talk.answers.last()).toContainText('The credits ran out here. What was written is kept.');
  const [, answer] = await person.messages(talk.id);
  expect(answer?.end_reason).toBe('insufficient_credits');
  await expect(talk.text).toHaveText(answer?.content.trim() ?? '');

  await talk.send('And now? !script tokens=20');
  const notice = page.getByRole('alert').filter({ hasText: 'Not enough credits' });
  await expect(notice).toContainText('You have 0 left.');
  await expect(notice).toContainText('Ask an administrator for more, or choose a cheaper model.');
  await expect(talk.composer).toHaveValue('And now? !script tokens=20');
  await expect(talk.prompts).toHaveCount(1);

  const admin = await Person.known(await elsewhere(), person.url, ADMIN);
  const me = await person.get<{ id: string }>('/auth/me');
  await admin.post('/credits/allocate', { target_user_id: me.id, amount: 50 });
  await expect(page.getByRole('link', { name: /Balance: 50/ })).toBeVisible();
  await notice.getByRole('button', { name: 'Try again' }).click();
  await expect(talk.answers).toHaveCount(2);
  await talk.settled();
  await expect(talk.text).toHaveText(words(20));
  expect(await person.messages(talk.id)).toHaveLength(4);
});

test('too dear a model is refused at the first prompt, and a cheaper one answers it', async ({
  page,
  person,
}) => {
  // 10 credits for 1,000 tokens: so many words cost more than there is.
  const prompt = `${'word '.repeat(40)}!script tokens=5`;
  const talk = await Talk.open(page);
  await page.getByRole('button', { name: `Model: ${MODEL}. Choose another one` }).click();
  await page.getByRole('option', { name: new RegExp(DEAR_MODEL) }).click();
  await talk.send(prompt);
  const notice = page.getByRole('alert').filter({ hasText: 'Not enough credits' });
  await expect(notice).toContainText('You have 0.1 left.');
  await expect(talk.composer).toHaveValue(prompt);
  await expect(talk.prompts).toHaveCount(0);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await clean(page, `not enough credits, ${colorScheme}`);
  }
  expect(await person.get('/credits/balance')).toMatchObject({ balance: 0.1 });

  await page.getByRole('button', { name: `Model: ${DEAR_MODEL}. Choose another one` }).click();
  await page.getByRole('option', { name: MODEL, exact: false }).first().click();
  await expect(page.getByRole('button', { name: `Model: ${MODEL}. Choose another one` })).toBeVisible();
  await notice.getByRole('button', { name: 'Try again' }).click();
  await talk.settled();
  await expect(notice).toBeHidden();
  await expect(talk.text).toHaveText(words(5));
  await expect(talk.composer).toHaveValue('');
  expect(await person.messages(talk.id)).toHaveLength(2);
});

test('without credits nothing of another version is lost', async ({ page, person, elsewhere }) => {
  const talk = await Talk.open(page);
  await talk.ask('All that I have !script tokens=200');
  await expect(talk.answers.last()).toContainText('The credits ran out here.');
  const kept = (await talk.text.innerText()).trim();
  const before = await person.messages(talk.id);
  const notice = page.getByRole('alert').filter({ hasText: 'Not enough credits' });

  await talk.answers.last().getByRole('button', { name: 'Answer once more' }).click();
  await expect(notice).toBeVisible();
  await expect(talk.answers).toHaveCount(1);
  await expect(talk.text).toHaveText(kept);
  await expect(notice.getByRole('button', { name: 'Try again' })).toBeEnabled();
  await notice.getByRole('button', { name: 'Close' }).click();
  await expect(notice).toBeHidden();

  await talk.prompts.last().hover();
  await talk.prompts.last().getByRole('button', { name: 'Edit this prompt' }).click();
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await editor.fill('Less than that !script tokens=6');
  await editor.press('Enter');
  await expect(notice).toBeVisible();
  await expect(editor).toHaveValue('Less than that !script tokens=6');
  expect(await person.messages(talk.id)).toEqual(before);

  const admin = await Person.known(await elsewhere(), person.url, ADMIN);
  const me = await person.get<{ id: string }>('/auth/me');
  await admin.post('/credits/allocate', { target_user_id: me.id, amount: 50 });
  await expect(page.getByRole('link', { name: /Balance: 50/ })).toBeVisible();
  await notice.getByRole('button', { name: 'Try again' }).click();
  await talk.settled();
  await expect(notice).toBeHidden();
  await expect(talk.text).toHaveText(words(6));
  await expect(talk.prompts.last().getByRole('group', { name: 'Versions' })).toContainText('2/2');
});
