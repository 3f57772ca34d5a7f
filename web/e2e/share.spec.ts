// A read-only link: made, read without an account, brought up to date, revoked.
import { expect, test } from './fixtures.ts';
import { Talk, words } from './talk.ts';

test('a shared conversation is read by whoever has the link, until it is revoked', async ({
  page,
  person,
  elsewhere,
}) => {
  const { id } = await person.conversation('For others', 'Show them !script tokens=6');
  const talk = await Talk.open(page, id);
  await page.getByRole('button', { name: 'Share' }).click();
  const dialog = page.getByRole('dialog', { name: 'Share' });
  await dialog.getByRole('button', { name: 'Create a link' }).click();
  const link = await dialog.getByLabel('Public link').inputValue();
  expect(link.startsWith(`${person.url}/app/shared/`)).toBe(true);

  const reader = await (await elsewhere()).newPage();
  await reader.goto(link);
  await expect(reader.getByRole('heading', { name: 'For others' })).toBeVisible();
  await expect(reader.getByText('Show them')).toBeVisible();
  await expect(reader.locator('.prose')).toHaveText(words(6));
  await expect(reader.getByRole('textbox')).toHaveCount(0);
  expect(await reader.context().cookies()).toEqual([]);

  // What is said afterwards is not shared by itself.
  await dialog.getByRole('button', { name: 'Close' }).click();
  await talk.ask('Not for them !script tokens=9');
  await reader.reload();
  await expect(reader.getByText('Show them')).toBeVisible();
  await expect(reader.getByText('Not for them')).toHaveCount(0);

  await page.getByRole('button', { name: 'Share' }).click();
  await expect(dialog).toContainText('The conversation has gone on since');
  await dialog.getByRole('button', { name: 'Show the newest state' }).click();
  await expect(dialog.getByRole('button', { name: 'Show the newest state' })).toBeHidden();
  expect(await dialog.getByLabel('Public link').inputValue()).toBe(link);
  await reader.reload();
  await expect(reader.getByText('Not for them')).toBeVisible();

  await dialog.getByRole('button', { name: 'Revoke the link' }).click();
  await expect(dialog.getByRole('button', { name: 'Create a link' })).toBeVisible();
  await reader.reload();
  await expect(reader.getByRole('heading', { name: 'This link leads nowhere' })).toBeVisible();
});
