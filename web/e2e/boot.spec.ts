// The page as it begins: what it shows before its code is there, and what it asks for.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk, words } from './talk.ts';

/** Paths that the page asked the API for, in order. */
function asked(page: Page): string[] {
  const paths: string[] = [];
  page.on('request', (request) => {
    const { pathname, search } = new URL(request.url());
    if (request.resourceType() === 'fetch') paths.push(pathname + search);
  });
  return paths;
}

test('it has its frame before its code, and no script of its own in it', async ({ page, person: _ }) => {
  await page.route('**/assets/index-*.js', async (route) => {
    await expect(page.locator('.bones-box')).toBeVisible();
    await route.continue();
  });
  await page.goto('/app');
  await expect(new Talk(page).composer).toBeVisible();
  await expect(page.locator('.bones')).toHaveCount(0);
});

test('what it needs at first is asked for once, before its code is there', async ({ page, person }) => {
  const { id } = await person.conversation('At once', 'Hello !script tokens=3');
  // Whoever was here before.
  const talk = await Talk.open(page);
  await expect(new Sidebar(page).row('At once')).toBeVisible();
  // What that page still asks for is not counted.
  await page.goto('about:blank');
  const paths = asked(page);
  let before = -1;
  await page.route('**/assets/index-*.js', async (route) => {
    await expect.poll(() => paths.length).toBeGreaterThanOrEqual(6);
    before = paths.length;
    await route.continue();
  });
  await page.goto(`/app/c/${id}`);
  await expect(talk.text).toHaveText(words(3));
  await expect(new Sidebar(page).row('At once')).toBeVisible();
  const early = paths.slice(0, before);
  expect(early.sort()).toEqual(
    [
      `/sessions/${id}`,
      `/sessions/${id}/messages?per_page=20`,
      '/auth/me',
      '/credits/balance',
      '/models?page=1&per_page=100',
      '/sessions?archived=false&page=1&per_page=100',
    ].sort(),
  );
  // The code has taken up all of that: nothing was asked twice before the server said that it listens.
  const listening = paths.indexOf('/events');
  expect(paths.slice(before, listening < 0 ? undefined : listening)).toEqual([]);
});

test('nothing is asked for somebody who was never here but who they are', async ({ page }) => {
  const paths = asked(page);
  await page.goto('/app/sign-in');
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await expect.poll(() => paths).toContain('/auth/refresh');
  expect(new Set(paths)).toEqual(new Set(['/auth/me', '/auth/refresh']));
});

test('what is behind a button is loaded when it is opened, and says when it cannot be', async ({
  page,
  context,
  person,
}) => {
  let gone = true;
  await context.route(/\/assets\/(panels|MenuPanel)-[^/]*\.js$/, (route) =>
    gone ? route.abort() : route.continue(),
  );
  await Talk.open(page);
  const button = page.getByRole('button', { name: new RegExp(person.name) });
  await button.click();
  await expect(page.getByText('The server cannot be reached.')).toBeVisible();
  gone = false;
  await page.reload();
  await button.click();
  await expect(page.getByRole('menuitem', { name: 'Sign out' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('menu')).toBeHidden();
  await expect(button).toBeFocused();
  await button.press('Enter');
  await expect(page.getByRole('menuitem').first()).toBeFocused();
});

test('every view has one title', async ({ page, person: _ }) => {
  for (const path of ['', '/assistants', '/prompts', '/usage', '/account', '/nothing/here']) {
    await page.goto(`/app${path}`);
    await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
    await expect(page.getByText('Loading…')).toHaveCount(0);
    await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
  }
});
