// The model that runs in the server itself, once.
import { expect, test } from './fixtures.ts';
import { Talk } from './talk.ts';
import { hasLocalModel, localModels } from './world.ts';

test.use({ settings: { local: true } });

test('the local model answers', async ({ page, person }) => {
  expect(hasLocalModel(), `a model in ${localModels}; make test-models fetches it`).toBe(true);
  test.setTimeout(180_000);
  const talk = await Talk.open(page);
  await page.getByRole('button', { name: /Choose another one/ }).click();
  await page.getByRole('option', { name: /SmolLM2/i }).click();
  await talk.send('Say hello in one short sentence.');
  await expect(talk.text).toContainText(/\w+/, { timeout: 120_000 });
  const again = talk.answers.last().getByRole('button', { name: 'Answer once more' });
  await expect(again.or(talk.stop)).toBeVisible();
  if (await talk.stop.isVisible()) await talk.stop.click().catch(() => {});
  await expect(again).toBeVisible({ timeout: 120_000 });
  const answer = (await person.messages(talk.id)).at(-1);
  expect(answer?.content.trim()).not.toBe('');
  await expect(talk.answers.last().getByRole('button', { name: /Cost of this answer/ })).toBeVisible();
});
