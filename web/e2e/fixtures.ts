// What every test starts from: a server of its worker, somebody who is signed in,
// and an eye on the console that fails the test.
import { test as base, expect, type BrowserContext, type Page } from '@playwright/test';
import { Person } from './person.ts';
import { World, type Settings } from './world.ts';

export { expect };

export interface WorldOptions {
  /** Differently configured servers are different workers. */
  settings: Settings;
}

interface Worker extends WorldOptions {
  world: World;
}

interface Test {
  /** A new account, signed in in `context` and `page`. */
  person: Person;
  /** Another browser, somewhere else; nobody is signed in there. */
  elsewhere: (
    options?: Parameters<import('@playwright/test').Browser['newContext']>[0],
  ) => Promise<BrowserContext>;
  /** What the console said and must not; a test that expects something takes it out. */
  complaints: string[];
  watched: void;
}

/** Requests that fail are what some tests are about; everything else in the console is a defect. */
const EXPECTED = /Failed to load resource|net::ERR_|WebSocket/;

function watch(context: BrowserContext, complaints: string[]): void {
  const look = (page: Page): void => {
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      const text = message.text();
      if (/Content.Security.Policy/i.test(text) || !EXPECTED.test(text)) complaints.push(text);
    });
    page.on('pageerror', (error) => complaints.push(`uncaught: ${error.stack ?? error.message}`));
  };
  context.pages().forEach(look);
  context.on('page', look);
}

export const test = base.extend<Test, Worker>({
  settings: [{}, { option: true, scope: 'worker' }],
  world: [
    async ({ settings }, use) => {
      const world = await World.start(settings);
      await use(world);
      await world.stop();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  baseURL: async ({ world }, use) => use(world.url),
  complaints: async ({ page: _ }, use) => use([]),
  watched: [
    async ({ world, context, complaints }, use, info) => {
      if (!world.serving) await world.launch();
      watch(context, complaints);
      await use();
      if (info.status !== info.expectedStatus) {
        await info.attach('server.log', { body: world.log, contentType: 'text/plain' });
      }
      expect(complaints, 'the console is quiet').toEqual([]);
    },
    { auto: true },
  ],
  elsewhere: async ({ browser, world, locale, complaints }, use) => {
    const made: BrowserContext[] = [];
    await use(async (options = {}) => {
      const context = await browser.newContext({ baseURL: world.url, locale, timezoneId: 'UTC', ...options });
      watch(context, complaints);
      made.push(context);
      return context;
    });
    for (const context of made) await context.close();
  },
  person: async ({ context, world }, use) => use(await Person.register(context, world.url)),
});
