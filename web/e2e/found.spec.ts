// What was found is gone to: the message itself, wherever it stands.
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk } from './talk.ts';
import type { Locator, Page } from '@playwright/test';

const number = (n: number): string => String(n).padStart(3, '0');
/** Prompts and answers with names of their own: a search for one finds its message. */
const named = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `Question asked${number(n)} !script text=said${number(n)}`);
const answer = (page: Page, n: number): Locator =>
  page.locator('main .row', { has: page.locator('.answer', { hasText: `said${number(n)}` }) });
const hits = (page: Page): Locator =>
  page.getByRole('navigation', { name: 'Search results' }).getByRole('link');

/** Notes which messages are marked from now on: a mark is short, and a busy machine may look too late. */
async function marks(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const marked: string[] = [];
    Object.assign(window, { marked });
    new MutationObserver(() => {
      const row = document.querySelector('main .row.marked .answer')?.textContent;
      if (row && marked.at(-1) !== row) marked.push(row);
    }).observe(document.body, { subtree: true, childList: true, attributeFilter: ['class'] });
  });
  return () => page.evaluate(() => (window as unknown as { marked: string[] }).marked);
}

test('a hit far up is shown, marked and has the focus; from there one reads on', async ({ page, person }) => {
  const { id } = await person.conversation('Long ago', ...named(70));
  const talk = await Talk.open(page);
  const sidebar = new Sidebar(page);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('said007');
  await expect(hits(page).locator('mark')).toHaveText('said007');
  await expect(sidebar.search).toBeFocused();
  const marked = await marks(page);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/c/${id}\\?message=`));

  const row = answer(page, 7);
  await expect(row).toBeInViewport();
  await expect(row).toBeFocused();
  await expect(row).not.toHaveClass(/marked/);
  expect(await marked()).toEqual([expect.stringContaining('said007')]);
  await expect(row).toBeInViewport();
  // Only what stands around it was loaded.
  await expect(page.getByText('asked069')).toHaveCount(0);

  // Up to the beginning and down to the end without a gap.
  await talk.area.evaluate((area) => area.scrollTo(0, 0));
  await expect(page.getByText('asked000')).toBeVisible();
  await expect
    .poll(async () => {
      await talk.area.evaluate((area) => area.scrollTo(0, area.scrollHeight));
      return page.getByText('asked069').count();
    })
    .toBe(1);
  const read = await talk.prompts.locator('.bubble').allTextContents();
  expect(read.map((text) => /asked\d+/.exec(text)?.[0])).toEqual(
    named(70).map((_, n) => `asked${number(n)}`),
  );
  await talk.ask('One more !script tokens=3');
  await expect(talk.prompts).toHaveCount(71);
});

test('the same hit again goes there again, and the newest is one click away', async ({ page, person }) => {
  await person.conversation('Back and forth', ...named(70));
  const talk = await Talk.open(page);
  await new Sidebar(page).search.fill('said003');
  await expect(hits(page)).toHaveCount(1);
  await hits(page).click();
  const row = answer(page, 3);
  await expect(row).toBeFocused();
  await expect(row).toBeInViewport();
  await page.getByRole('button', { name: 'Go to the newest message' }).click();
  await expect(talk.prompts.last()).toContainText('asked069');
  await expect.poll(() => talk.below()).toBeLessThan(40);
  await expect(row).not.toBeInViewport();
  await hits(page).click();
  await expect(row).toBeInViewport();
  await expect(row).toBeFocused();
  // What is sent from here goes to the end, and so does the view.
  await talk.send('At the end !script tokens=3');
  await expect(talk.prompts.last()).toContainText('At the end');
  await talk.settled();
  await expect.poll(() => talk.below()).toBeLessThan(40);
  await expect(row).not.toBeInViewport();
  // Where the hit is on the page already, it is scrolled to.
  await new Sidebar(page).search.fill('said066');
  await expect(hits(page).locator('mark')).toHaveText('said066');
  await talk.area.evaluate((area) => area.scrollTo(0, 0));
  await expect(answer(page, 66)).not.toBeInViewport();
  await hits(page).click();
  await expect(answer(page, 66)).toBeInViewport();
  await expect(answer(page, 66)).toBeFocused();
});

test('a hit on a branch that is not shown brings that branch', async ({ page, person }) => {
  const talk = await Talk.open(page);
  await talk.ask('Apples !script text=About-apples');
  await talk.ask('Pears !script text=About-pears');
  await talk.prompts.first().hover();
  await talk.prompts.first().getByRole('button', { name: 'Edit this prompt' }).click();
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await editor.fill('Quinces !script text=About-quinces');
  await editor.press('Enter');
  await expect(talk.prompts).toHaveCount(1);
  await talk.settled();
  await expect(talk.text).toHaveText('About-quinces');

  const sidebar = new Sidebar(page);
  const hit = hits(page);
  await sidebar.search.fill('pears');
  await expect(hit).toContainText('pears');
  await hit.click();
  const row = page.locator('main .row').filter({ hasText: 'About-pears' }).last();
  await expect(row).toBeInViewport();
  await expect(talk.prompts).toHaveCount(2);
  await expect(talk.prompts.first().getByRole('group', { name: 'Versions' })).toContainText('1/2');
  expect(await person.messages(talk.id)).toHaveLength(4);
  // From another view, and by its address.
  await sidebar.search.fill('quinces');
  await expect(hit).toContainText('quinces');
  await page.getByRole('link', { name: 'New conversation' }).click();
  await hit.click();
  await expect(page.locator('main .row').filter({ hasText: 'About-quinces' }).last()).toBeInViewport();
  await expect(talk.prompts).toHaveCount(1);
  await page.reload();
  await expect(page.locator('main .row').filter({ hasText: 'About-quinces' }).last()).toBeFocused();
});

test('a message that is not there any more leaves the conversation', async ({
  page,
  person,
  complaints: _,
}) => {
  const { id } = await person.conversation('Still here', 'Hello !script tokens=4');
  await page.goto(`/app/c/${id}?message=00000000-0000-7000-8000-000000000000`);
  const talk = new Talk(page);
  await expect(talk.prompts).toHaveCount(1);
  await expect(page.getByText('That is not here any more.')).toBeVisible();
});

test('on a phone, and without motion', async ({ person, elsewhere }) => {
  const { id } = await person.conversation('Small', ...named(40));
  const phone = await elsewhere({
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
    reducedMotion: 'reduce',
  });
  await person.at(phone);
  const page = await phone.newPage();
  await Talk.open(page, id);
  await page.getByRole('button', { name: 'Show the list' }).tap();
  await page.getByRole('searchbox').fill('said002');
  const marked = await marks(page);
  await hits(page).tap();
  const row = answer(page, 2);
  await expect(row).toBeInViewport();
  await expect(row).toBeFocused();
  expect(await marked()).toEqual([expect.stringContaining('said002')]);
  const moving = await page.evaluate(
    () =>
      document.getAnimations().filter((one) => Number(one.effect?.getComputedTiming().activeDuration) > 10)
        .length,
  );
  expect(moving).toBe(0);
  await expect(page.getByRole('button', { name: 'Show the list' })).toBeVisible();
});
