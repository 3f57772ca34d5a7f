// No violation of the accessibility rules in any main view, in both themes.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { Person } from './person.ts';
import { Talk } from './talk.ts';
import { ADMIN } from './world.ts';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

async function clean(page: Page, view: string): Promise<void> {
  // Colours in the middle of a transition are nobody's.
  await page.evaluate(() =>
    Promise.allSettled(
      document
        .getAnimations()
        .filter((animation) => animation.effect?.getComputedTiming().endTime !== Infinity)
        .map((animation) => animation.finished),
    ),
  );
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).setLegacyMode().analyze();
  const found = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map(({ html }) => html.slice(0, 200)).join('\n  ')}`,
  );
  expect.soft(found, view).toEqual([]);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme });

    test(`the way in, ${colorScheme}`, async ({ page }) => {
      await page.goto('/app/sign-in');
      await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      await clean(page, 'sign in');
      await page.goto('/app/sign-up');
      await page.getByRole('button', { name: 'Create account' }).click();
      await expect(page.getByText('Please enter an email address')).toBeVisible();
      await clean(page, 'sign up with mistakes');
    });

    test(`conversations, ${colorScheme}`, async ({ page, person, elsewhere }) => {
      test.setTimeout(120_000);
      const { id } = await person.conversation(
        'A full one',
        `Show !script echo\n${MARKDOWN}`,
        'Hello !script tokens=4',
      );
      await person.conversation('Pinned', 'Hello !script tokens=2');
      const talk = await Talk.open(page);
      await expect(page.getByRole('link', { name: 'A full one' })).toBeVisible();
      await clean(page, 'a new conversation');
      await page.getByRole('link', { name: 'A full one' }).click();
      await expect(page.locator('.katex').first()).toBeVisible();
      await clean(page, 'a conversation');
      await page.getByRole('button', { name: /Choose another one/ }).click();
      await expect(page.getByRole('option').first()).toBeVisible();
      await clean(page, 'the models');
      await page.keyboard.press('Escape');
      await page
        .getByRole('button', { name: /Cost of this answer/ })
        .last()
        .click();
      await expect(page.getByText('Charged')).toBeVisible();
      await clean(page, 'the cost');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'More about this conversation' }).click();
      await clean(page, 'the menu');
      await page.keyboard.press('Escape');
      for (const [button, dialog] of [
        ['Share', 'Share'],
        ['Add instructions', 'Instructions for this conversation'],
      ] as const) {
        await page.getByRole('button', { name: button }).click();
        await expect(page.getByRole('dialog', { name: dialog })).toBeVisible();
        await clean(page, button);
        await page.keyboard.press('Escape');
        await expect(page.getByRole('dialog')).toBeHidden();
      }
      await page.getByRole('searchbox').fill('hello');
      await expect(
        page.getByRole('navigation', { name: 'Search results' }).getByRole('link').first(),
      ).toBeVisible();
      await clean(page, 'found');
      await page.getByRole('searchbox').fill('');
      await page.getByRole('searchbox').blur();
      await page.keyboard.press('?');
      await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
      await clean(page, 'the keys');
      await page.keyboard.press('Escape');
      await talk.prompts.last().hover();
      await talk.prompts.last().getByRole('button', { name: 'Edit this prompt' }).click();
      await clean(page, 'editing');
      await page.keyboard.press('Escape');
      await talk.send('Write !script tokens=2000 delay=20ms');
      await talk.reached(3);
      await clean(page, 'an answer being written');
      await page.keyboard.press('Escape');
      await talk.settled();
      await talk.send('Fail !script status=500');
      await expect(page.getByRole('alert')).toBeVisible();
      await clean(page, 'an answer that failed');
      await talk.ask('Well again !script tokens=2');
      await page.getByRole('button', { name: new RegExp(person.name) }).click();
      await clean(page, 'the account menu');
      await page.keyboard.press('Escape');
      const { path } = await person.post<{ path: string }>(`/sessions/${id}/share`, {}, 201);
      const reader = await (await elsewhere({ colorScheme })).newPage();
      await reader.goto(path);
      await expect(reader.locator('.katex').first()).toBeVisible();
      await clean(reader, 'a shared conversation');
      await page.goto('/app/nothing/here');
      await expect(page.getByRole('heading', { name: 'There is nothing here' })).toBeVisible();
      await clean(page, 'nothing here');
    });

    test(`a phone, ${colorScheme}`, async ({ person, elsewhere }) => {
      await person.conversation('A small one', `Show !script echo\n${MARKDOWN}`);
      const phone = await elsewhere({
        colorScheme,
        viewport: { width: 390, height: 844 },
        isMobile: true,
        hasTouch: true,
      });
      await person.at(phone);
      const page = await phone.newPage();
      await Talk.open(page);
      await clean(page, 'a new conversation');
      await page.getByRole('button', { name: 'Show the list' }).tap();
      await expect(page.getByRole('link', { name: 'A small one' })).toBeVisible();
      await clean(page, 'the list over it');
      await page.getByRole('link', { name: 'A small one' }).tap();
      await expect(page.locator('.katex').first()).toBeVisible();
      await clean(page, 'a conversation');
      await page.getByRole('button', { name: 'Show the list' }).tap();
      await expect(page.getByRole('link', { name: 'A small one' })).toBeVisible();
      await clean(page, 'the list over a conversation');
    });

    test(`the other views, ${colorScheme}`, async ({ page, context, world }) => {
      const admin = await Person.known(context, world.url, ADMIN);
      await admin.conversation('Something to count', 'Hello !script tokens=20');
      for (const path of [
        'usage',
        'account',
        'assistants',
        'prompts',
        'admin',
        'admin/models',
        'admin/health',
      ]) {
        await page.goto(`/app/${path}`);
        await expect(page.locator('main h1').first()).toBeVisible();
        await expect(page.getByText('Loading…')).toHaveCount(0);
        await clean(page, path);
      }
    });
  });
}
