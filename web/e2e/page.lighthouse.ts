// Lighthouse's scores of the list and of a conversation, for somebody who is
// signed in. The goal is for a desktop; a phone is simulated at a quarter of this
// machine's speed, so its figures say as much about the machine: they are printed.
import { chromium } from '@playwright/test';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { Person } from './person.ts';

const GOAL = 95;

interface Result {
  lhr: {
    categories: Record<string, { score: number | null; auditRefs: { id: string; weight: number }[] }>;
    audits: Record<string, { score: number | null; title: string; displayValue?: string }>;
  };
}
type Lighthouse = (url: string, flags: object, config?: object) => Promise<Result>;

/** It is no package of this folder: see lighthouse/run. */
async function load(): Promise<{ lighthouse: Lighthouse; desktop: object }> {
  const from = new URL('../lighthouse/node_modules/lighthouse/core/', import.meta.url).href;
  const [main, config] = (await Promise.all([
    import(`${from}index.js`),
    import(`${from}config/desktop-config.js`),
  ])) as [{ default: Lighthouse }, { default: object }];
  return { lighthouse: main.default, desktop: config.default };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

test('lighthouse', async ({ world, launchOptions }) => {
  const { lighthouse, desktop } = await load();
  const port = await freePort();
  const profile = mkdtempSync(join(tmpdir(), 'tertulia-lighthouse.'));
  // The default context: the one that Lighthouse opens its pages in.
  const context = await chromium.launchPersistentContext(profile, {
    ...launchOptions,
    args: [...(launchOptions.args ?? []), `--remote-debugging-port=${port}`],
  });
  const person = await Person.register(context, world.url);
  for (let n = 0; n < 30; n++) await person.post('/sessions', { title: `Conversation ${n}` }, 201);
  const { id } = await person.conversation(
    'How whales sleep',
    `Tell me !script echo\n${MARKDOWN}`,
    'And cats? !script tokens=80',
  );
  const low: string[] = [];
  for (const [view, path] of [
    ['list', '/app'],
    ['chat', `/app/c/${id}`],
  ] as const) {
    for (const [device, config] of [
      ['phone', undefined],
      ['desktop', desktop],
    ] as const) {
      const flags = {
        port,
        logLevel: 'error',
        disableStorageReset: true,
        onlyCategories: ['performance', 'accessibility', 'best-practices'],
      };
      const { lhr } = await lighthouse(world.url + path, flags, config);
      const scores = Object.entries(lhr.categories).map(([name, { score, auditRefs }]) => {
        const points = Math.round((score ?? 0) * 100);
        if (points < GOAL && device === 'desktop') {
          const weak = auditRefs
            .map(({ id: audit, weight }) => ({ ...lhr.audits[audit], weight }))
            .filter((audit) => audit.weight > 0 && (audit.score ?? 1) < 0.9)
            .map((audit) => `${audit.title} ${audit.displayValue ?? ''}`);
          low.push(`${view}, ${device}, ${name}: ${points} (${weak.join('; ')})`);
        }
        return `${name} ${points}`;
      });
      console.log(`lighthouse, ${view}, ${device}: ${scores.join(', ')}`);
    }
  }
  await context.close();
  rmSync(profile, { recursive: true, force: true });
  expect(low).toEqual([]);
});
