// No violation of the accessibility rules in any main view, in both themes.
import { expect, test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { Person } from './person.ts';
import { clean } from './rules.ts';
import { Talk } from './talk.ts';
import { ADMIN } from './world.ts';

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

    test(`dialogs, ${colorScheme}`, async ({ page, person: _ }) => {
      await page.goto('/app/assistants');
      await page.getByRole('button', { name: 'New assistant' }).click();
      const assistant = page.getByRole('dialog', { name: 'New assistant' });
      await expect(assistant).toBeVisible();
      await clean(page, 'a new assistant');
      await assistant.getByRole('button', { name: 'Save' }).click();
      await expect(assistant.getByLabel('Name')).toHaveAttribute('aria-invalid', 'true');
      await clean(page, 'a new assistant with mistakes');
      await assistant.getByLabel('Name').fill('Pirate');
      await assistant.getByLabel('Question 1').fill('Where is the gold?');
      await assistant.getByRole('button', { name: 'Save' }).click();
      await expect(assistant).toBeHidden();
      await page.getByRole('button', { name: 'More about Pirate' }).click();
      await expect(page.getByRole('menuitem', { name: 'Edit assistant' })).toBeVisible();
      await clean(page, 'the menu of an assistant');
      await page.keyboard.press('Escape');
      await page.getByRole('link', { name: /Pirate/ }).click();
      await expect(page.getByRole('button', { name: 'Where is the gold?' })).toBeVisible();
      await clean(page, 'the beginning with an assistant');

      await page.goto('/app/prompts');
      await page.getByRole('button', { name: 'New prompt' }).click();
      const prompt = page.getByRole('dialog', { name: 'New prompt' });
      await expect(prompt).toBeVisible();
      await clean(page, 'a new prompt');
      await prompt.getByRole('button', { name: 'Save' }).click();
      await expect(prompt.getByLabel('Title')).toHaveAttribute('aria-invalid', 'true');
      await clean(page, 'a new prompt with mistakes');
      await prompt.getByLabel('Title').fill('Plain English');
      await prompt.getByLabel('Command').fill('plain');
      await prompt.getByLabel('Text').fill('Say it plainly:');
      await prompt.getByRole('button', { name: 'Save' }).click();
      await expect(prompt).toBeHidden();
      await page.getByRole('link', { name: 'New conversation' }).click();
      await new Talk(page).composer.pressSequentially('/');
      await expect(page.getByRole('option', { name: /Plain English/ })).toBeVisible();
      await clean(page, 'the saved prompts after /');

      await page.goto('/app/account');
      await page.getByRole('button', { name: 'Delete…' }).click();
      const erase = page.getByRole('dialog', { name: 'Delete your account?' });
      await expect(erase).toBeVisible();
      await clean(page, 'deleting the account');
      await erase.getByRole('button', { name: 'Delete for good' }).click();
      await expect(erase.getByLabel('Current password')).toHaveAttribute('aria-invalid', 'true');
      await clean(page, 'deleting the account with mistakes');
    });

    test(`a phone, ${colorScheme}`, async ({ person, elsewhere }) => {
      const { id } = await person.conversation('A small one', `Show !script echo\n${MARKDOWN}`);
      const { path } = await person.post<{ path: string }>(`/sessions/${id}/share`, {}, 201);
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
      await page.goto(path);
      await expect(page.locator('.katex').first()).toBeVisible();
      await clean(page, 'a shared conversation');
    });

    test(`the other views, ${colorScheme}`, async ({ page, context, world, elsewhere }) => {
      const other = await Person.register(await elsewhere(), world.url, 'Carla Soto');
      const { id } = await other.get<{ id: string }>('/auth/me');
      const admin = await Person.known(context, world.url, ADMIN);
      await admin.conversation('Something to count', 'Hello !script tokens=20');
      for (const path of [
        'usage',
        'account',
        'assistants',
        'prompts',
        'admin',
        `admin/users/${id}`,
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
