// Keys alone, phones, themes, motion, languages.
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk, words } from './talk.ts';

test('everything by keyboard', async ({ page, person }) => {
  await person.conversation('Earlier', 'Hello !script tokens=2');
  await page.goto('/app');
  const talk = new Talk(page);
  const sidebar = new Sidebar(page);
  await expect(talk.composer).toBeFocused();
  await page.keyboard.type('By keys !script tokens=40 delay=20ms');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  await page.keyboard.press('Enter');
  await talk.settled();
  await expect(talk.prompts.first()).toContainText('second line');
  await expect(talk.text).toHaveText(words(40));
  await expect(talk.composer).toBeFocused();

  await page.keyboard.type('Stop me !script tokens=2000 delay=20ms');
  await page.keyboard.press('Enter');
  await talk.reached(3);
  await page.keyboard.press('Escape');
  await talk.settled();

  await page.keyboard.press('Control+ArrowUp');
  const editor = page.getByRole('textbox', { name: 'Edit this prompt' });
  await expect(editor).toBeFocused();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('Better !script tokens=4');
  await page.keyboard.press('Enter');
  await expect(talk.text).toHaveText(words(4));
  await talk.settled();
  await page.keyboard.press('Shift+Escape');
  await expect(talk.composer).toBeFocused();

  await page.keyboard.press('Control+k');
  await expect(sidebar.search).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveTitle(/Earlier/);
  await page.keyboard.press('Control+Shift+ArrowUp');
  await expect(page).toHaveTitle(/By keys/);
  await page.keyboard.press('Control+Shift+o');
  await expect(page).toHaveURL(/\/app$/);
  await page.keyboard.press('Control+Shift+s');
  await expect(sidebar.list).toBeHidden();
  await page.keyboard.press('Control+Shift+s');
  await expect(sidebar.list).toBeVisible();

  // The menu of a row, from the list.
  await sidebar.row('Earlier').focus();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: 'More about “Earlier”' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitem', { name: 'Rename' })).toBeFocused();
  await page.keyboard.press('Enter');
  const title = page.getByRole('dialog').getByLabel('Title');
  await expect(title).toBeFocused();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('Later');
  await page.keyboard.press('Enter');
  await expect(sidebar.row('Later')).toBeVisible();
});

test('the way past the list', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.composer.blur();
  // From the beginning of the page.
  await page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
  });
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to the prompt' });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press('Enter');
  await expect(talk.composer).toBeFocused();
});

test('the keys are listed by ?', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await page.keyboard.type('?');
  await expect(talk.composer).toHaveValue('?');
  await talk.composer.blur();
  await page.keyboard.press('?');
  const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await expect(dialog).toContainText('Stop the answer');
  await expect(dialog).toContainText('Ctrl');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
});

test('dark and light, by the system and by choice', async ({ page, person }) => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await Talk.open(page);
  const dark = async (): Promise<boolean> =>
    page.evaluate(() => {
      const [red = 255] = getComputedStyle(document.body).backgroundColor.match(/\d+/g)?.map(Number) ?? [];
      return red < 100;
    });
  expect(await dark()).toBe(true);
  await page.emulateMedia({ colorScheme: 'light' });
  expect(await dark()).toBe(false);
  await page.getByRole('button', { name: new RegExp(person.name) }).click();
  await page.getByRole('menuitemradio', { name: 'Dark' }).click();
  await expect.poll(dark).toBe(true);
  await page.reload();
  expect(await dark()).toBe(true);
  await page.getByRole('button', { name: new RegExp(person.name) }).click();
  await page.getByRole('menuitemradio', { name: 'Like the system' }).click();
  await expect.poll(dark).toBe(false);
});

test('whoever wants less motion gets none', async ({ page, person }) => {
  const { id } = await person.conversation('Calm', 'Hello !script tokens=2');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  const talk = await Talk.open(page, id);
  await talk.send('Wait !script tokens=20 first=700ms delay=20ms');
  const moving = (): Promise<number> =>
    page.evaluate(
      () =>
        document.getAnimations().filter((animation) => {
          const timing = animation.effect?.getComputedTiming();
          return animation.playState === 'running' && Number(timing?.activeDuration ?? 0) > 10;
        }).length,
    );
  await expect(talk.stop).toBeVisible();
  expect(await moving()).toBe(0);
  await talk.settled();
  await talk.choose('Share');
  await expect(page.getByRole('dialog')).toBeVisible();
  expect(await moving()).toBe(0);
});

test('German, by the browser and by choice', async ({ person, elsewhere }) => {
  const context = await elsewhere({ locale: 'de-DE' });
  const page = await context.newPage();
  await page.goto('/app');
  await expect(page.getByRole('heading', { name: 'Anmelden' })).toBeVisible();
  await expect(page.locator('html')).toHaveAttribute('lang', 'de');
  await page.getByRole('button', { name: 'English' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await page.getByRole('button', { name: 'Deutsch' }).click();
  await person.at(context);
  await page.goto('/app');
  const composer = page.getByRole('textbox');
  await composer.last().fill('Auf Deutsch !script tokens=5');
  await composer.last().press('Enter');
  await expect(page.locator('.answer .prose')).toHaveText(words(5));
  const english = /\b(Copy|Share|Send|Search|Archive|New conversation|credits)\b/;
  const labels = await page
    .locator('[aria-label], [placeholder]')
    .evaluateAll((elements) =>
      elements.flatMap((element) => [
        element.getAttribute('aria-label'),
        element.getAttribute('placeholder'),
      ]),
    );
  expect(labels.filter((label) => label && english.test(label))).toEqual([]);
  expect(await page.locator('body').innerText()).not.toMatch(/\b(New conversation|credits|Archive)\b/);
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test('the list is a drawer, and nothing is wider than the screen', async ({ page, person }) => {
    const { id } = await person.conversation('On the way', `Wide !script text=${'wide'.repeat(60)}`);
    await person.conversation('Other', 'Hello !script tokens=2');
    const talk = await Talk.open(page, id);
    const sidebar = new Sidebar(page);
    const wide = (): Promise<number> =>
      page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    await expect(talk.text).toBeVisible();
    expect(await wide()).toBeLessThanOrEqual(0);
    await expect(sidebar.list).toBeHidden();
    await page.getByRole('button', { name: 'Show the list' }).tap();
    await expect(sidebar.list).toBeVisible();
    expect(await wide()).toBeLessThanOrEqual(0);
    await sidebar.row('Other').tap();
    await expect(sidebar.list).toBeHidden();
    await expect(page).toHaveTitle(/Other/);
    await talk.composer.fill('Tapped !script tokens=3');
    // Enter begins a line here; the button sends.
    await talk.composer.press('Enter');
    await expect(talk.prompts).toHaveCount(1);
    await page.getByRole('button', { name: 'Send' }).tap();
    await expect(talk.prompts).toHaveCount(2);
    await talk.settled();
    await expect(talk.text).toHaveText(words(3));
    const small = await page
      .locator('header button:visible, header a:visible')
      .evaluateAll((buttons) =>
        buttons
          .filter((button) => button.getBoundingClientRect().height < 24)
          .map((button) => button.outerHTML),
      );
    expect(small).toEqual([]);
  });
});

test('right to left, nothing is lost', async ({ page, person }) => {
  const { id } = await person.conversation('Hebrew', 'שלום !script text=שלום לך');
  await Talk.open(page, id);
  await page.evaluate(() => (document.documentElement.dir = 'rtl'));
  const list = await page.getByRole('complementary').boundingBox();
  const area = await page.locator('main').boundingBox();
  expect(list!.x).toBeGreaterThan(area!.x);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
});
