// What the server knows of its models, told before one is asked.
import { expect, test } from './fixtures.ts';
import { Talk, words } from './talk.ts';
import { DEAR_MODEL, MODEL } from './world.ts';

// Its models are in trouble here, which others must not meet.
test.use({ settings: { grant: 999 } });

test('a model that fails is told of in words, and cannot be picked until it answers', async ({
  page,
  person,
}) => {
  const talk = await Talk.open(page);
  const picker = page.getByRole('button', { name: `Model: ${MODEL}. Choose another one` });
  const option = (name: string) =>
    page.getByRole('option').filter({ has: page.getByText(name, { exact: true }) });
  await picker.click();
  await expect(option(MODEL)).toContainText('Available');
  await expect(option(DEAR_MODEL)).toContainText('Available');
  await page.keyboard.press('Escape');

  const { id } = await person.post<{ id: string }>('/sessions', { model_id: DEAR_MODEL }, 201);
  await person.post(`/sessions/${id}/messages`, { prompt: 'Fail !script status=500' }, 502);
  await picker.click();
  await expect(option(DEAR_MODEL)).toContainText('Not available now. Its provider failed.');
  await expect(option(DEAR_MODEL)).toBeDisabled();
  await option(DEAR_MODEL).click({ force: true });
  await expect(option(MODEL)).toHaveAttribute('aria-selected', 'true');
  await expect(page.getByRole('dialog', { name: 'Models' })).toBeVisible();
  // Nor by keys.
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog', { name: 'Models' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(picker).toBeVisible();

  // A conversation that has it says so, and may ask it all the same: it may be well again.
  await talk.page.goto(`/app/c/${id}`);
  const troubled = page.getByRole('button', {
    name: `Model: ${DEAR_MODEL} (Not available now. Its provider failed.)`,
  });
  await expect(troubled).toContainText('Not available now');
  await talk.ask('Well again? !script tokens=3');
  await expect(talk.text).toHaveText(words(3));
  await troubled.click();
  await expect(option(DEAR_MODEL)).toContainText('Available');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: `Model: ${DEAR_MODEL}. Choose another one` })).toBeVisible();
});
