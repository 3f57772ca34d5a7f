// Signing up, in and out; what the session is kept in; the page's policy.
import { expect, test } from './fixtures.ts';
import { PASSWORD, Person } from './person.ts';
import { Sidebar, Talk, words } from './talk.ts';

test('a newcomer signs up, asks, and signs out', async ({ page, context }) => {
  const email = `newcomer.${Date.now()}@example.org`;
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await page.getByRole('link', { name: 'Create account' }).click();
  await page.getByLabel('Name').fill('Ben');
  await page.getByLabel('Email').fill('ben');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByText('Please enter an email address')).toBeVisible();
  await expect(page.getByText('A password has at least 8 characters.')).toBeVisible();
  await expect(page.getByLabel('Email')).toBeFocused();
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  const talk = new Talk(page);
  await expect(page.getByRole('heading', { name: /Ben/ })).toBeVisible();
  await talk.ask('Tell me about whales !script tokens=12');
  await expect(talk.text).toHaveText(words(12));

  await page.getByRole('button', { name: /Ben/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/\/app\/sign-in/);
  expect(await context.cookies()).toEqual([]);
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();

  await page.getByLabel('Email or user name').fill(email);
  await page.getByLabel('Password').fill('something else');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('do not belong together');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(new Sidebar(page).row('Tell me about whales')).toBeVisible();
});

test('an email that is taken is said at its field', async ({ page, person }) => {
  await person.post('/auth/logout', {});
  await page.goto('/app/sign-up');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByText('There is an account with this email already.')).toBeVisible();
  await expect(page.getByLabel('Email')).toHaveAttribute('aria-invalid', 'true');
});

test('signing in leads to where one wanted to go, and nowhere else', async ({ page, person }) => {
  const { id } = await person.conversation('A certain one', 'Hello !script tokens=3');
  await person.post('/auth/logout', {});
  await page.goto(`/app/c/${id}`);
  await page.getByLabel('Email or user name').fill(person.email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(new RegExp(`/app/c/${id}$`));
  await expect(new Talk(page).text).toHaveText(words(3));

  await person.post('/auth/logout', {});
  await page.goto('/app/sign-in?next=//example.org/');
  await page.getByLabel('Email or user name').fill(person.email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(new Talk(page).composer).toBeVisible();
  expect(new URL(page.url()).pathname).toBe('/app');
});

test('the session is in cookies that no script reads', async ({ page, context, person }) => {
  await Talk.open(page);
  const cookies = await context.cookies([`${person.url}/app`, `${person.url}/auth`]);
  const of = (name: string) => cookies.find((cookie) => cookie.name === name);
  for (const [name, path] of [
    ['tertulia_access', '/'],
    ['tertulia_refresh', '/auth'],
  ] as const) {
    expect(of(name), name).toMatchObject({ path, httpOnly: true, sameSite: 'Strict' });
    expect(of(name)?.expires, name).toBeGreaterThan(Date.now() / 1000);
  }
  expect(await page.evaluate(() => document.cookie)).toBe('');
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  for (const cookie of cookies) expect(kept).not.toContain(cookie.value);
});

test('another site cannot act with the cookies', async ({ page, person }) => {
  await Talk.open(page);
  const answer = await person.context.request.post(`${person.url}/sessions`, {
    headers: { Origin: 'https://elsewhere.example' },
    data: {},
  });
  expect(answer.status()).toBe(403);
  expect(((await answer.json()) as { code: string }).code).toBe('csrf_failed');
  expect((await person.get<{ data: unknown[] }>('/sessions')).data).toEqual([]);
});

test('the page comes with a policy that lets nothing foreign run', async ({ page, complaints }) => {
  const answer = await page.goto('/app');
  const policy = answer?.headers()['content-security-policy'] ?? '';
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ]) {
    expect(policy).toContain(part);
  }
  expect(policy).not.toMatch(/script-src[^;]*unsafe/);
  expect(await page.locator('script:not([src])').count()).toBe(0);
  // That the test would see a violation at all.
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'document.title = "ran"';
    document.head.append(script);
  });
  await expect.poll(() => complaints.splice(0).join()).toContain('Content Security Policy');
  expect(await page.title()).not.toBe('ran');
});

test('a session that was ended elsewhere asks to sign in, and keeps what was typed', async ({
  page,
  person,
  elsewhere,
}) => {
  const talk = await Talk.open(page);
  await talk.composer.fill('Half a thought');
  const other = await person.at(await elsewhere());
  const { data } = await other.get<{ data: { id: string; current: boolean }[] }>('/auth/sessions');
  for (const device of data.filter((one) => !one.current))
    await other.call('DELETE', `/auth/sessions/${device.id}`);
  await talk.composer.press('Enter');
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await page.getByLabel('Email or user name').fill(person.email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(talk.composer).toHaveValue('Half a thought');
});

test('signing out in one tab is seen in the other', async ({ page, context, person }) => {
  await Talk.open(page);
  const second = await context.newPage();
  await Talk.open(second);
  await page.getByRole('button', { name: new RegExp(person.name) }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  for (const tab of [page, second]) await expect(tab.getByRole('heading', { name: 'Sign in' })).toBeVisible();
});

test('signing in as somebody else in one tab takes the others along', async ({
  page,
  context,
  person,
  elsewhere,
}) => {
  const talk = await Talk.open(page);
  await talk.composer.fill('Half a thought');
  const second = await context.newPage();
  await Talk.open(second);
  const other = await Person.register(await elsewhere(), person.url, 'Bea Conde');
  await second.getByRole('button', { name: new RegExp(person.name) }).click();
  await second.getByRole('menuitem', { name: 'Sign out' }).click();
  for (const tab of [page, second]) await expect(tab.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  for (const tab of [page, second])
    await expect
      .poll(() => tab.evaluate(() => JSON.stringify({ ...localStorage })))
      .not.toContain('Half a thought');
  await second.getByLabel('Email or user name').fill(other.email);
  await second.getByLabel('Password').fill(PASSWORD);
  await second.getByRole('button', { name: 'Sign in' }).click();
  for (const tab of [page, second]) {
    await expect(tab.getByRole('button', { name: /Bea Conde/ })).toBeVisible();
    await expect(new Talk(tab).composer).toHaveValue('');
  }
});

test('too many attempts say how long to wait', async ({ page, person }) => {
  await person.post('/auth/logout', {});
  await page.goto('/app/sign-in');
  await page.getByLabel('Email or user name').fill(person.email);
  // Ten within the window, by default.
  for (let n = 0; n < 10; n++) {
    await person.post('/auth/login', { username: person.email, password: `not it ${n}`, cookie: true }, 401);
  }
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText(/You can try again in \d+ seconds/);
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeDisabled();
});
