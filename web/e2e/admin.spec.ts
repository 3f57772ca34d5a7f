// What administrators see and do, and others do not.
import { expect, test } from './fixtures.ts';
import { PASSWORD, Person } from './person.ts';
import { ADMIN, MODEL } from './world.ts';

test('who is no administrator is told so', async ({ page, person: _ }) => {
  await page.goto('/app/admin');
  await expect(page.getByText('This is for administrators')).toBeVisible();
});

test('a user is found, given credits, made an administrator, suspended', async ({
  page,
  context,
  world,
  elsewhere,
}) => {
  const other = await Person.register(await elsewhere(), world.url, 'Carla Soto');
  await Person.known(context, world.url, ADMIN);
  await page.goto('/app/admin');
  await page.getByRole('searchbox', { name: 'Find by name or email' }).fill(other.email);
  await expect(page.getByRole('paragraph').filter({ hasText: /^1 user$/ })).toBeVisible();
  await page.getByRole('link', { name: /Carla Soto/ }).click();
  await expect(page.getByRole('heading', { name: 'Carla Soto' })).toBeVisible();

  await page.getByRole('textbox', { name: 'Amount', exact: true }).fill('2.5');
  await page.getByLabel('Note').fill('Welcome');
  await page.getByRole('button', { name: /Give 2\.5 credits/ }).click();
  await expect(page.getByText('Carla Soto got 2.5 credits.')).toBeVisible();
  expect((await other.get<{ balance: number }>('/credits/balance')).balance).toBe(1002.5);
  await expect(page.getByRole('table')).toContainText('Welcome');

  await page.getByRole('checkbox', { name: /Administrator/ }).check();
  await page.getByRole('button', { name: 'Save roles' }).click();
  await expect.poll(async () => (await other.get<{ roles: string[] }>('/auth/me')).roles).toContain('admin');

  await page.getByRole('button', { name: 'Suspend' }).click();
  await expect(page.getByText('Carla Soto is suspended and signed out everywhere.')).toBeVisible();
  await other.call('GET', '/auth/me', undefined, 401);
  await other.call('POST', '/auth/login', { username: other.email, password: PASSWORD, cookie: true }, 403);
  await page.getByRole('button', { name: 'Reactivate' }).click();
  await expect(page.getByText('Carla Soto can sign in again.')).toBeVisible();
  await other.signIn();
});

test('models, prices and health are there to read', async ({ page, context, world }) => {
  await Person.known(context, world.url, ADMIN);
  await page.goto('/app/admin/models');
  const row = page.getByRole('row', { name: new RegExp(`^${MODEL} Chat`) });
  await expect(row).toContainText('by upstream');
  await expect(row).toContainText('Price from the configuration file');
  await expect(row.getByRole('cell')).toHaveText(['1', '2']);
  await expect(page.getByText(/cannot be changed here/)).toBeVisible();
  await page.getByRole('link', { name: 'Health' }).click();
  await expect(page.getByText('All is well.')).toBeVisible();
  await expect(page.getByText('SQLite, built in')).toBeVisible();
});
