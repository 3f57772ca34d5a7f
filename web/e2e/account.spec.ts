// One's own account: what was used, who one is, where one is signed in, the end of it.
import { expect, test } from './fixtures.ts';
import { PASSWORD } from './person.ts';
import { Talk } from './talk.ts';
import { MODEL } from './world.ts';

test('usage shows what was used, by day and by model', async ({ page, person }) => {
  await person.conversation('Counted', 'Hello !script tokens=50', 'Again !script tokens=50');
  const { balance } = await person.get<{ balance: number }>('/credits/balance');
  await Talk.open(page);
  await page.getByRole('link', { name: 'Balance' }).click();
  await expect(page.getByRole('heading', { name: 'Usage', exact: true })).toBeVisible();
  await expect(page.getByText(String(Math.floor(balance * 10) / 10)).first()).toBeVisible();
  await page.getByRole('button', { name: 'As a table' }).click();
  const models = page.getByRole('table', { name: 'By model' });
  await expect(models.getByRole('row', { name: new RegExp(`${MODEL}.*2.*100`) })).toBeVisible();
  await expect(page.getByRole('table', { name: 'By day' }).getByRole('row')).not.toHaveCount(1);
  const ledger = page.getByRole('table', { name: 'Credit movements' });
  await expect(ledger).toContainText('Answer paid');
  await expect(ledger).toContainText('Credits received');
});

test('a profile is changed, and shown at once', async ({ page, person }) => {
  await page.goto('/app/account');
  await page.getByLabel('Name', { exact: true }).fill('Bea Ruiz');
  await page.getByLabel('User name').fill(`bea.${Date.now()}`);
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved.')).toBeVisible();
  await expect(page.getByRole('button', { name: /Bea Ruiz/ })).toBeVisible();
  expect((await person.get<{ display_name: string }>('/auth/me')).display_name).toBe('Bea Ruiz');
});

test('a new password signs the other devices out', async ({ page, person, elsewhere }) => {
  const other = await person.at(await elsewhere());
  await page.goto('/app/account');
  await page.getByLabel('Current password').fill('not this one');
  await page.getByLabel('New password').fill('another long password');
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByLabel('Current password')).toHaveAttribute('aria-invalid', 'true');
  await other.get('/auth/me');
  await page.getByLabel('Current password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByText('Your password is changed.')).toBeVisible();
  await other.call('GET', '/auth/me', undefined, 401);
  await person.get('/auth/me');
});

test('devices are listed and signed out', async ({ page, person, elsewhere }) => {
  const context = await elsewhere({
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  });
  await person.at(context);
  const there = await Talk.open(await context.newPage());
  await page.goto('/app/account');
  await expect(page.getByText('This device', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Sign out Firefox on Linux' }).click();
  await expect(page.getByText('Firefox on Linux is signed out.')).toBeVisible();
  await there.send('Still me? !script tokens=2');
  await expect(there.page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
});

test('everything can be taken along', async ({ page, person }) => {
  await person.conversation('Taken along', 'Hello !script tokens=5');
  await page.goto('/app/account');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page
      .getByRole('link', { name: 'Download', exact: true })
      .or(page.getByRole('button', { name: 'Download', exact: true }))
      .click(),
  ]);
  expect(download.suggestedFilename()).toBe('tertulia-export.json');
  const pieces: Buffer[] = [];
  for await (const piece of await download.createReadStream()) pieces.push(piece as Buffer);
  const all = JSON.parse(Buffer.concat(pieces).toString()) as {
    account: { email: string };
    conversations: { title: string; messages: unknown[] }[];
  };
  expect(all.account.email).toBe(person.email);
  expect(all.conversations).toHaveLength(1);
  expect(all.conversations[0]).toMatchObject({ title: 'Taken along' });
  expect(all.conversations[0]?.messages).toHaveLength(2);
});

test('an account is deleted after being asked twice', async ({ page, person }) => {
  await person.conversation('Gone soon', 'Hello !script tokens=2');
  await page.goto('/app/account');
  await page.getByRole('button', { name: 'Delete…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete your account?' });
  await dialog.getByLabel(/To be sure, type/).fill('somebody@example.org');
  await dialog.getByLabel('Current password').fill('not this one');
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await expect(dialog).toContainText(`Please type ${person.email} exactly.`);
  await dialog.getByLabel(/To be sure, type/).fill(person.email);
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await expect(dialog.getByLabel('Current password')).toHaveAttribute('aria-invalid', 'true');
  await dialog.getByLabel('Current password').fill(PASSWORD);
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await expect(page.getByText('Your account is deleted.')).toBeVisible();
  await person.call('POST', '/auth/login', { username: person.email, password: PASSWORD }, 401);
});
