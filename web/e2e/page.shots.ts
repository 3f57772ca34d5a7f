// docs/screenshots: the main views in both themes and on a phone, as small WebP.
import type { Page } from '@playwright/test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { Person } from './person.ts';
import { Talk } from './talk.ts';
import { ADMIN } from './world.ts';

test.use({ settings: { names: { model: 'aurora', dearModel: 'aurora-large', provider: 'studio' } } });

const folder = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));

async function shoot(page: Page, name: string): Promise<void> {
  await page.evaluate(async () => {
    await document.fonts.ready;
    await Promise.allSettled(
      document
        .getAnimations()
        .filter((animation) => animation.effect?.getComputedTiming().endTime !== Infinity)
        .map((animation) => animation.finished),
    );
  });
  const png = await page.screenshot({ caret: 'hide' });
  // The browser can pack it; the page's policy would not let it.
  const blank = await page.context().newPage();
  const packed = await blank.evaluate(
    async (source) => {
      const image = new Image();
      image.src = source;
      await image.decode();
      const canvas = document.createElement('canvas');
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      canvas.getContext('2d')?.drawImage(image, 0, 0);
      return canvas.toDataURL('image/webp', 0.86);
    },
    `data:image/png;base64,${png.toString('base64')}`,
  );
  await blank.close();
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}${name}.webp`, Buffer.from(packed.split(',')[1] ?? '', 'base64'));
}

const TALK = [
  ['How do whales sleep?', MARKDOWN],
  [
    'And how do they know when to breathe?',
    'Breathing is **voluntary** for them: one half of the brain stays awake to decide.',
  ],
] as const;

const EARLIER = [
  'A train from Madrid to Lisbon',
  'Borrow checker, explained twice',
  'Sourdough without a scale',
  'Letter to the landlord',
  'Fourier series by hand',
  'Names for a boat',
  'Budget for the winter',
  'Sonata or sonatina?',
];

/** What the prompts of the pictures answer; nobody sees the script. */
async function fill(person: Person): Promise<string> {
  for (const title of EARLIER) await person.conversation(title, 'Hello !script tokens=40');
  const { id } = await person.post<{ id: string }>('/sessions', { title: TALK[0][0] }, 201);
  return id;
}

/** Sends through the page what reads like a prompt, and has the upstream answer with this. */
async function ask(talk: Talk, prompt: string, answer: string): Promise<void> {
  await talk.page.route('**/messages/stream', async (route) => {
    const body = route.request().postDataJSON() as { prompt: string };
    await route.continue({
      postData: { ...body, prompt: `${body.prompt}\n\n!script first=300ms delay=15ms echo\n${answer}` },
    });
  });
  await talk.ask(prompt);
  await talk.page.unroute('**/messages/stream');
}

async function hide(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const bubble of document.querySelectorAll('.bubble, nav a')) {
      const text = [...bubble.childNodes].find((node) => node.textContent?.includes('!script'));
      if (text) text.textContent = (text.textContent ?? '').split('!script')[0]?.trim() ?? '';
    }
    for (const more of document.querySelectorAll('.prompt .more')) more.remove();
    for (const cut of document.querySelectorAll('.bubble.cut')) cut.classList.remove('cut');
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, viewport: { width: 1280, height: 800 } });

    test(`views, ${colorScheme}`, async ({ page, context, world, elsewhere }) => {
      const person = await Person.register(context, world.url, 'Ana Ruiz', `ana@${colorScheme}.example`);
      const id = await fill(person);
      const talk = await Talk.open(page);
      await expect(page.getByRole('link', { name: EARLIER[0] })).toBeVisible();
      await shoot(page, `new-${colorScheme}`);
      await page.goto(`/app/c/${id}`);
      for (const [prompt, answer] of TALK) await ask(talk, prompt, answer);
      await expect(page.locator('.katex').first()).toBeVisible();
      await hide(page);
      await talk.area.evaluate((area) => area.scrollTo(0, 0));
      await page.mouse.move(0, 0);
      await shoot(page, `chat-${colorScheme}`);
      await talk.area.evaluate((area) => area.scrollTo(0, area.scrollHeight));
      await page
        .getByRole('button', { name: /Cost of this answer/ })
        .last()
        .click();
      await expect(page.getByText('Charged')).toBeVisible();
      await shoot(page, `cost-${colorScheme}`);
      await page.keyboard.press('Escape');

      const phone = await elsewhere({
        colorScheme,
        viewport: { width: 390, height: 844 },
        deviceScaleFactor: 2,
        isMobile: true,
        hasTouch: true,
      });
      await phone.addCookies(await context.cookies());
      const small = await phone.newPage();
      await small.goto(`/app/c/${id}`);
      await expect(small.locator('.katex').first()).toBeAttached();
      await hide(small);
      await small.locator('section.area').evaluate((area) => area.scrollTo(0, 0));
      await shoot(small, `phone-chat-${colorScheme}`);
      await small.getByRole('button', { name: 'Show the list' }).tap();
      await expect(small.getByRole('link', { name: EARLIER[0] })).toBeVisible();
      await shoot(small, `phone-list-${colorScheme}`);

      await page.goto('/app/usage');
      await expect(page.locator('main h1').first()).toBeVisible();
      await expect(page.getByText('Loading…')).toHaveCount(0);
      await shoot(page, `usage-${colorScheme}`);
      await page.goto('/app/account');
      await expect(page.locator('main h1').first()).toBeVisible();
      await expect(page.getByText('Loading…')).toHaveCount(0);
      await shoot(page, `account-${colorScheme}`);

      const office = await elsewhere({ colorScheme, viewport: { width: 1280, height: 800 } });
      await Person.known(office, world.url, ADMIN);
      const desk = await office.newPage();
      await desk.goto('/app/admin');
      await expect(desk.getByText(person.email)).toBeVisible();
      await shoot(desk, `admin-${colorScheme}`);
    });
  });
}
