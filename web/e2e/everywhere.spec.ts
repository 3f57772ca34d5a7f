// Keys alone, phones, themes, motion, languages.
import type { Locator, Page } from '@playwright/test';
import { expect, test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { Person } from './person.ts';
import { Sidebar, Talk, words } from './talk.ts';
import { ADMIN, MODEL } from './world.ts';

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
    await expect(talk.text).toBeVisible();
    await expect.poll(() => misplaced(page)).toEqual([]);
    await expect(sidebar.list).toBeHidden();
    await page.getByRole('button', { name: 'Show the list' }).tap();
    await expect(sidebar.list).toBeVisible();
    await expect.poll(() => misplaced(page)).toEqual([]);
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

  test('every page fits, and everything on it can be tapped', async ({ page, context, world, elsewhere }) => {
    test.setTimeout(150_000);
    const long = 'Donaudampfschifffahrtsgesellschaftskapitänswitwenverein';
    const other = await Person.register(await elsewhere(), world.url, long);
    const { id: user } = await other.get<{ id: string }>('/auth/me');
    const admin = await Person.known(context, world.url, ADMIN);
    const { id } = await admin.conversation(`About ${long}`, `Show ${long} !script echo\n${MARKDOWN}`);
    const { path: shared } = await admin.post<{ path: string }>(`/sessions/${id}/share`, {}, 201);
    for (const [at, name] of ['Pirate', long, 'A helper who has a name of many words', 'B'].entries()) {
      const body = { name, description: `${name}. `.repeat(5), model_id: MODEL, system_prompt: '' };
      await admin.post('/assistants', { ...body, questions: [`Why, ${name}?`] }, 201);
      const prompt = { title: name, command: `${'c'.repeat(31)}${at}`, content: `${name} `.repeat(20) };
      await admin.post('/prompts', prompt, 201);
    }
    const assistants = await admin.get<{ data: { id: string; name: string }[] }>('/assistants');
    const begun = assistants.data.find(({ name }) => name === long);

    const talk = new Talk(page);
    const heading = (name: string): Locator => page.getByRole('heading', { name, exact: true }).first();
    const more = page.getByRole('button', { name: /^More about/ });
    for (const [path, there] of [
      ['/app', talk.composer],
      [`/app?assistant=${begun?.id}`, page.getByRole('button', { name: `Why, ${long}?` })],
      [`/app/c/${id}`, page.locator('.katex').first()],
      ['/app/usage', page.getByRole('table', { name: 'Credit movements' })],
      ['/app/account', page.getByRole('button', { name: 'Delete…' })],
      ['/app/assistants', more.nth(3)],
      ['/app/prompts', page.getByRole('button', { name: 'Delete “B”' })],
      ['/app/admin', page.getByRole('link', { name: new RegExp(long) }).first()],
      [`/app/admin/users/${user}`, heading(long)],
      ['/app/admin/models', page.getByRole('row', { name: new RegExp(`^${MODEL} `) })],
      ['/app/admin/health', page.getByText('All is well.')],
      [shared, page.locator('.katex').first()],
    ] as const) {
      await page.goto(path);
      // Others of this server may fill the first page.
      if (path === '/app/admin')
        await page.getByRole('searchbox', { name: 'Find by name or email' }).fill(long);
      await expect(there, path).toBeVisible();
      await expect(page.getByText('Loading…')).toHaveCount(0);
      await expect.poll(() => misplaced(page), { message: path }).toEqual([]);
    }
    await page.goto(`/app/c/${id}`);
    await page.getByRole('button', { name: 'Show the list' }).tap();
    await expect(new Sidebar(page).row(`About ${long}`)).toBeVisible();
    await expect.poll(() => misplaced(page), { message: 'the list' }).toEqual([]);

    // On the cards the button of the menu stands on the link, and not on what is read there.
    await page.goto('/app/assistants');
    await expect(more).toHaveCount(4);
    const covered = await page.locator('main li').evaluateAll((cards) =>
      cards
        .flatMap((card) => {
          const button = card.querySelector('button')!.getBoundingClientRect();
          const words = document.createRange();
          return [...card.querySelectorAll('strong, .description, small')].filter((element) => {
            words.selectNodeContents(element);
            return [...words.getClientRects()].some(
              (line) =>
                line.right > button.left &&
                line.left < button.right &&
                line.bottom > button.top &&
                line.top < button.bottom,
            );
          });
        })
        .map((element) => element.textContent),
    );
    expect(covered).toEqual([]);
  });
});

/** What is wider than a phone, and what one could not tap because it lies outside or under something else. */
function misplaced(page: Page): Promise<string[]> {
  const width = page.viewportSize()?.width ?? 0;
  return page.evaluate((width) => {
    const found: string[] = [];
    // A phone would rather show everything smaller than scroll: `innerWidth` grows with what is too wide.
    const { scrollWidth } = document.documentElement;
    if (scrollWidth > width || innerWidth > width) found.push(`${scrollWidth} of ${innerWidth} pixels`);
    const all = document.querySelectorAll<HTMLElement>(
      'a[href], button, input, select, textarea, summary, [role=button], [role=menuitem], [role=option]',
    );
    const controls = [...all].filter(
      (control) =>
        !control.closest('[inert], .sr-only') &&
        control.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
        // What comes into view by Tab alone.
        control.getBoundingClientRect().bottom > 0,
    );
    const named = (control: HTMLElement): string =>
      (control.getAttribute('aria-label') ?? control.textContent).trim() || control.outerHTML;
    // A table in an answer may scroll, and formulas and code; the page and its parts may not.
    for (const element of document.querySelectorAll('body :not(.prose *)')) {
      if (element.scrollWidth <= element.clientWidth) continue;
      if (!/auto|scroll/.test(getComputedStyle(element).overflowX)) continue;
      found.push(`<${element.tagName} class="${element.className}"> scrolls sideways`);
    }
    for (const control of controls) {
      if (control.closest('.prose .md-table, .prose pre')) continue;
      const { left, right } = control.getBoundingClientRect();
      if (left < 0 || right > width) found.push(`${named(control)}: from ${left} to ${right}`);
    }
    for (const control of controls) {
      control.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
      const { left, right, top, bottom } = control.getBoundingClientRect();
      // What is as wide as the page is what closes the drawer above it.
      const x = right - left < width ? (left + right) / 2 : right - 8;
      const hit = document.elementFromPoint(x, (top + bottom) / 2);
      if (!hit || !(control.contains(hit) || hit.closest('label')?.contains(control))) {
        found.push(`${named(control)}: under ${hit?.outerHTML.slice(0, 120)}`);
      }
    }
    return found;
  }, width);
}

const HEBREW = `לווייתנים ישנים זקופים, חצי מוח בכל פעם.

Whales sleep upright, one half of the brain at a time.

- עולים לנשום
- צוללים

1. surface
2. dive

> הם חולמים על הים.

~~~
sleep(8)
~~~
`;

for (const dir of ['ltr', 'rtl'] as const) {
  test(`right to left, nothing is lost, on a page from ${dir}`, async ({ page, person }) => {
    const { id } = await person.conversation(
      'Hebrew',
      `איך ישנים? !script echo\n${HEBREW}`,
      'And in English? !script tokens=3',
    );
    const talk = await Talk.open(page, id);
    await page.evaluate((dir) => (document.documentElement.dir = dir), dir);
    await expect(talk.answers).toHaveCount(2);
    const list = await page.getByRole('complementary').boundingBox();
    const area = await page.locator('main').boundingBox();
    expect(list!.x > area!.x).toBe(dir === 'rtl');
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);

    /** Where the text of an element begins: at the side where its first line touches its box. */
    const begins = (element: Locator): Promise<string> =>
      element.evaluate((element) => {
        const box = element.getBoundingClientRect();
        const { paddingLeft, paddingRight } = getComputedStyle(element);
        const words = document.createRange();
        words.selectNodeContents(element);
        const line = words.getBoundingClientRect();
        const left = Math.abs(line.left - box.left - parseFloat(paddingLeft));
        const right = Math.abs(box.right - parseFloat(paddingRight) - line.right);
        return left < 2 && right > 20 ? 'ltr' : right < 2 && left > 20 ? 'rtl' : `${left} ${right}`;
      });
    const answer = talk.answers.first();
    const text = (locator: Locator, words: string): Locator => locator.filter({ hasText: words }).first();
    for (const [element, direction] of [
      [text(answer.locator('p'), 'לווייתנים'), 'rtl'],
      [text(answer.locator('p'), 'Whales'), 'ltr'],
      [text(answer.locator('li'), 'צוללים'), 'rtl'],
      [text(answer.locator('li'), 'dive'), 'ltr'],
      [text(answer.locator('blockquote p'), 'חולמים'), 'rtl'],
    ] as const) {
      expect(await begins(element), await element.innerText()).toBe(direction);
    }
    // A list's marks stand within the answer, on the side where its text begins.
    const room = (list: string): Promise<[number, number]> =>
      answer.locator(list).evaluate((list) => {
        const [outer, item] = [list.getBoundingClientRect(), list.children[0]!.getBoundingClientRect()];
        return [item.left - outer.left, outer.right - item.right];
      });
    const [before, after] = await room('ul');
    expect(after).toBeGreaterThan(before + 10);
    const [left, right] = await room('ol');
    expect(left).toBeGreaterThan(right + 10);
    await expect(answer.locator('.code')).toHaveCSS('direction', 'ltr');
    await expect(talk.prompts.first().locator('.bubble')).toHaveCSS('direction', 'rtl');
    await expect(talk.prompts.last().locator('.bubble')).toHaveCSS('direction', 'ltr');
    await talk.composer.fill('ועוד שאלה');
    await expect(talk.composer).toHaveCSS('direction', 'rtl');
  });
}
