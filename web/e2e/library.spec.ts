// Saved assistants and saved prompts.
import { expect, test } from './fixtures.ts';
import { Talk, words } from './talk.ts';
import { DEAR_MODEL } from './world.ts';

test('an assistant is made, begun with, changed and deleted', async ({ page, person }) => {
  await page.goto('/app/assistants');
  await page.getByRole('button', { name: 'New assistant' }).click();
  const dialog = page.getByRole('dialog', { name: 'New assistant' });
  await dialog.getByLabel('Name').fill('Pirate');
  await dialog.getByLabel('Model').selectOption(DEAR_MODEL);
  await dialog.getByLabel('Instructions').fill('Answer like a pirate.');
  await dialog.getByLabel('Question 1').fill('Where is the gold? !script tokens=6');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('link', { name: /Pirate/ }).click();
  await page.getByRole('button', { name: /Where is the gold/ }).click();
  // The question is sent as it is, without being typed or confirmed.
  const talk = new Talk(page);
  await expect(page).toHaveURL(/\/app\/c\//);
  await expect(talk.prompts).toHaveCount(1);
  await expect(talk.prompts).toContainText('Where is the gold? !script tokens=6');
  await talk.settled();
  await expect(talk.composer).toHaveValue('');
  await expect(talk.text).toHaveText(words(6));
  expect(await person.get(`/sessions/${talk.id}`)).toMatchObject({
    model_id: DEAR_MODEL,
    system_prompt: 'Answer like a pirate.',
  });

  await page.getByRole('link', { name: 'Assistants' }).click();
  await page.getByRole('button', { name: 'More about Pirate' }).click();
  await page.getByRole('menuitem', { name: 'Edit assistant' }).click();
  const edit = page.getByRole('dialog', { name: 'Edit assistant' });
  await edit.getByLabel('Name').fill('Captain');
  await edit.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'More about Captain' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await expect(page.getByText('No assistants yet')).toBeVisible();
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(page.getByRole('link', { name: /Captain/ })).toBeVisible();
});

test('a saved prompt comes with /', async ({ page, person: _ }) => {
  await page.goto('/app/prompts');
  for (const [title, command, text] of [
    ['Plain English', 'plain', 'Say it plainly: !script tokens=7'],
    ['Shorter', 'short', 'Say it in fewer words:'],
  ] as const) {
    await page.getByRole('button', { name: 'New prompt' }).click();
    const dialog = page.getByRole('dialog', { name: 'New prompt' });
    await dialog.getByLabel('Title').fill(title);
    await dialog.getByLabel('Command').fill(command);
    await dialog.getByLabel('Text').fill(text);
    await dialog.getByRole('button', { name: 'Save' }).click();
    await expect(dialog).toBeHidden();
  }
  const talk = new Talk(page);
  await page.getByRole('link', { name: 'New conversation' }).click();
  await talk.composer.pressSequentially('/');
  await expect(page.getByRole('option')).toHaveCount(2);
  await talk.composer.pressSequentially('pla');
  await expect(page.getByRole('option')).toHaveCount(1);
  await talk.composer.press('Enter');
  await expect(talk.composer).toHaveValue(/^Say it plainly:/);
  await talk.composer.press('Enter');
  await talk.settled();
  await expect(talk.text).toHaveText(words(7));
  // A slash that means nothing is only a slash.
  await talk.ask('/etc is a folder !script tokens=2');
  await expect(talk.text).toHaveText(words(2));
});
