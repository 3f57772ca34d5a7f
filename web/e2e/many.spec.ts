// A list of a thousand: what is seen of it exists, all of it is reached.
import { expect, test } from './fixtures.ts';
import { fillList } from './many.ts';
import { Sidebar, Talk } from './talk.ts';

const COUNT = 1000;

test('of a thousand conversations few are in the page, and each is reached', async ({ page, person }) => {
  test.setTimeout(120_000);
  await person.post('/sessions', { title: 'The oldest' }, 201);
  await fillList(person, COUNT - 2, (n) => `Number ${n}`);
  await person.post('/sessions', { title: 'The newest' }, 201);

  const { list } = new Sidebar(page);
  const link = (index: number) => list.locator(`li[data-index="${index}"] a`);
  const [first, last] = [link(0), link(COUNT - 1)];
  await Talk.open(page);
  await expect(first).toHaveText('The newest');
  await list.evaluate((list) => {
    const most = { rows: 0 };
    const count = (): void => {
      most.rows = Math.max(most.rows, list.querySelectorAll('li').length);
    };
    count();
    new MutationObserver(count).observe(list, { subtree: true, childList: true });
    Object.assign(window, { most });
  });
  const most = () => page.evaluate(() => (window as unknown as { most: { rows: number } }).most.rows);

  await list.hover();
  const below = () => list.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight);
  while ((await below()) > 1) await page.mouse.wheel(0, 1200);
  await expect(last).toHaveText('The oldest');
  await expect(last).toBeInViewport();
  await expect(first).not.toBeAttached();

  // By keys, further than what was in the page when they began.
  await last.focus();
  for (let index = COUNT - 2; index >= COUNT - 60; index--) {
    await link(index).waitFor();
    await page.keyboard.press('ArrowUp');
    await expect(link(index)).toBeFocused();
    await expect(link(index)).toBeInViewport();
  }
  const title = await link(COUNT - 60).innerText();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: `More about “${title}”`, exact: true })).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(link(COUNT - 59)).toBeFocused();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await expect(link(COUNT - 60)).toHaveAttribute('aria-current', 'page');
  await expect(link(COUNT - 60)).toBeInViewport();

  await list.evaluate((list) => list.scrollTo(0, 0));
  await expect(first).toHaveText('The newest');
  await expect(first).toBeInViewport();
  await expect(last).not.toBeAttached();
  expect(await most()).toBeLessThanOrEqual(120);
});
