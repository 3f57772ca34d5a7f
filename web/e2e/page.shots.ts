// docs/screenshots: every view in both themes, on a desk and on a phone, as small WebP.
import type { BrowserContextOptions, Page } from '@playwright/test';
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

const ASSISTANTS = [
  {
    name: 'Latin teacher',
    model_id: 'aurora-large',
    description: 'Explains grammar by example, and corrects what I write.',
    system_prompt: 'You teach Latin. Correct gently.',
    questions: ['How do I decline “domus”?', 'Correct: puella rosam amant.'],
  },
  {
    name: 'Editor',
    model_id: 'aurora',
    description: 'Cuts a text by a third without losing anything.',
    system_prompt: 'You edit.',
  },
  {
    name: 'Critic',
    model_id: 'aurora',
    description: 'Finds the weakest argument.',
    system_prompt: 'Find the weakest argument.',
  },
];

const PROMPTS = [
  { title: 'Plain English', command: 'plain', content: 'Say it so that a child of ten understands it:' },
  { title: 'Shorter', command: 'short', content: 'Say the same in half as many words:' },
  {
    title: 'Minutes of a meeting',
    command: 'minutes',
    content: 'Write minutes of these notes: who was there, what was decided, who does what until when.',
  },
];

const OTHERS = ['Ben Okafor', 'Carla Soto', 'Dimitri Pavlou', 'Emi Tanaka'];

/** What somebody has who has been here for a while; answers the conversation that is shown. */
async function furnish(person: Person): Promise<string> {
  for (const title of EARLIER) await person.conversation(title, 'Hello !script tokens=40');
  for (const assistant of ASSISTANTS) await person.post('/assistants', assistant, 201);
  for (const prompt of PROMPTS) await person.post('/prompts', prompt, 201);
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

const DEVICES: Record<string, BrowserContextOptions> = {
  '': { viewport: { width: 1280, height: 800 } },
  'phone-': {
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
  },
};

async function ready(page: Page): Promise<void> {
  await expect(page.locator('main h1').first()).toBeVisible();
  await expect(page.getByText('Loading…')).toHaveCount(0);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`views, ${colorScheme}`, async ({ page, context, world, elsewhere }) => {
    const person = await Person.register(context, world.url, 'Ana Ruiz', `ana@${colorScheme}.example`);
    const { id: account } = await person.get<{ id: string }>('/auth/me');
    const stranger = await elsewhere();
    for (const display_name of OTHERS) {
      const email = `${display_name.split(' ')[0]?.toLowerCase()}@${colorScheme}.example`;
      const data = { email, password: person.password, display_name };
      expect((await stranger.request.post('/auth/register', { data })).status()).toBe(201);
    }
    const id = await furnish(person);
    const writer = await Talk.open(page, id);
    for (const [prompt, answer] of TALK) await ask(writer, prompt, answer);
    const { path } = await person.post<{ path: string }>(`/sessions/${id}/share`, {}, 201);

    for (const [prefix, device] of Object.entries(DEVICES)) {
      const open = async (who?: { email: string; password: string }): Promise<Page> => {
        const made = await elsewhere({ colorScheme, ...device });
        if (who) await Person.known(made, world.url, who);
        return made.newPage();
      };
      const shot = (page: Page, name: string) => shoot(page, `${prefix}${name}-${colorScheme}`);

      const own = await open(person);
      const talk = await Talk.open(own);
      const row = own.getByRole('link', { name: EARLIER[0] });
      if (prefix === '') await expect(row).toBeVisible();
      await shot(own, 'new');
      await own.getByRole('button', { name: /Choose another one/ }).click();
      await expect(own.getByRole('option').first()).toBeVisible();
      await shot(own, 'models');

      await own.goto(`/app/c/${id}`);
      await expect(own.locator('.katex').first()).toBeAttached();
      await hide(own);
      await talk.area.evaluate((area) => area.scrollTo(0, 0));
      await shot(own, 'chat');
      await talk.area.evaluate((area) => area.scrollTo(0, area.scrollHeight));
      const cost = own.getByRole('button', { name: /Cost of this answer/ }).last();
      await cost.click();
      await expect(own.getByText('Charged')).toBeVisible();
      await shot(own, 'cost');
      await own.keyboard.press('Escape');
      if (prefix !== '') {
        await own.getByRole('button', { name: 'Show the list' }).tap();
        await expect(row).toBeVisible();
        await shot(own, 'list');
      }
      for (const view of ['assistants', 'prompts', 'usage', 'account']) {
        await own.goto(`/app/${view}`);
        await ready(own);
        await shot(own, view);
      }

      const reader = await open();
      await reader.goto('/app/sign-in');
      await expect(reader.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      await shot(reader, 'sign-in');
      await reader.goto(path);
      await expect(reader.locator('.katex').first()).toBeAttached();
      await hide(reader);
      await shot(reader, 'shared');

      const desk = await open(ADMIN);
      await desk.goto('/app/admin');
      await expect(desk.getByText(person.email)).toBeVisible();
      await expect(desk.locator('main li').filter({ hasNotText: 'credits' })).toHaveCount(0);
      await shot(desk, 'admin');
      await desk.goto(`/app/admin/users/${account}`);
      await ready(desk);
      await expect(desk.getByRole('heading', { name: person.name })).toBeVisible();
      await shot(desk, 'admin-user');
    }
  });
}
