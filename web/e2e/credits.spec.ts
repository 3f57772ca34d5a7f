// Models, what they cost, and what is left.
import { expect, test } from './fixtures.ts';
import { Talk, words } from './talk.ts';
import { DEAR_MODEL, MODEL } from './world.ts';

test('a model is picked by what it costs, and stays picked', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await page.getByRole('button', { name: `Model: ${MODEL}. Choose another one` }).click();
  const dear = page.getByRole('option', { name: new RegExp(DEAR_MODEL) });
  await expect(dear).toContainText('10 in, 30 out for 1,000 tokens');
  await expect(dear).toContainText(/128k window/i);
  await expect(page.getByRole('option', { selected: true })).toContainText(MODEL);
  await dear.click();
  await talk.ask('Dearly !script tokens=10');
  expect((await person.get<{ model_id: string }>(`/sessions/${talk.id}`)).model_id).toBe(DEAR_MODEL);
  await expect(talk.answers.last().getByRole('heading', { name: `Answer by ${DEAR_MODEL}` })).toBeAttached();

  // By keys, within the conversation.
  await page.getByRole('button', { name: `Model: ${DEAR_MODEL}. Choose another one` }).press('Enter');
  await expect(page.getByRole('combobox')).toBeFocused();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: `Model: ${MODEL}. Choose another one` })).toBeVisible();
  await talk.ask('Cheaply !script tokens=10');
  await expect(
    talk.answers.last().getByRole('heading', { name: `Answer by ${MODEL}`, exact: true }),
  ).toBeAttached();
});

test('each answer says what it cost and why, and the balance follows', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.ask('What do you cost? !script tokens=100');
  await expect(talk.text).toHaveText(words(100));
  const { balance } = await person.get<{ balance: number }>('/credits/balance');
  const charged = 1000 - balance;
  expect(charged).toBeGreaterThan(0.2);
  const trigger = talk.answers.last().getByRole('button', { name: /Cost of this answer/ });
  await trigger.click();
  const popover = page.getByRole('dialog', { name: 'What this answer cost' });
  await expect(popover).toContainText('100 tokens of answer');
  await expect(popover).toContainText('at 2 per 1,000');
  await expect(popover).toContainText('0.2');
  await expect(popover).toContainText(`${Number(charged.toFixed(6))} credits`);
  await expect(popover).toContainText(MODEL);
  await expect(popover).toContainText('upstream');
  await page.keyboard.press('Escape');
  await expect(popover).toBeHidden();
  await expect(trigger).toBeFocused();
  // Never more than there is.
  const shown = String(Math.floor(balance * 10) / 10);
  await expect(page.getByRole('link', { name: 'Balance' })).toContainText(`${shown} credits`);
});
