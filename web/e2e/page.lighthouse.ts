// Lighthouse's scores of the list and of a conversation, for somebody who is
// signed in, on a desktop and on a phone (its own presets: network and processor
// are simulated). Each is the median of three runs; below the goal it fails.
import { chromium } from '@playwright/test';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { Person } from './person.ts';

const GOAL = 95;
const RUNS = 3;
const METRICS = {
  'first-contentful-paint': 'first paint',
  'largest-contentful-paint': 'largest paint',
  'total-blocking-time': 'blocked',
  'cumulative-layout-shift': 'shift',
  'speed-index': 'speed index',
};

interface Report {
  categories: Record<string, { score: number | null; auditRefs: { id: string; weight: number }[] }>;
  audits: Record<string, { score: number | null; title: string; displayValue?: string }>;
}
type Lighthouse = (url: string, flags: object, config?: object) => Promise<{ lhr: Report }>;

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

const points = (report: Report, category: string): number =>
  Math.round((report.categories[category]?.score ?? 0) * 100);

function median<T>(values: T[], by: (value: T) => number): T {
  const sorted = [...values].sort((a, b) => by(a) - by(b));
  return sorted[Math.floor(sorted.length / 2)] as T;
}

/** What keeps a category from being better. */
function weak(report: Report, category: string): string {
  return (report.categories[category]?.auditRefs ?? [])
    .map(({ id, weight }) => ({ ...report.audits[id], weight }))
    .filter((audit) => audit.weight > 0 && (audit.score ?? 1) < 0.9)
    .map((audit) => `${audit.title} ${audit.displayValue ?? ''}`)
    .join('; ');
}

for (const view of ['list', 'chat'] as const) {
  for (const device of ['phone', 'desktop'] as const) {
    test(`lighthouse, ${view}, ${device}`, async ({ world, launchOptions }) => {
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
      const url = world.url + (view === 'list' ? '/app' : `/app/c/${id}`);
      const flags = {
        port,
        logLevel: 'error',
        disableStorageReset: true,
        onlyCategories: ['performance', 'accessibility', 'best-practices'],
      };
      const reports: Report[] = [];
      for (let run = 0; run < RUNS; run++) {
        reports.push((await lighthouse(url, flags, device === 'desktop' ? desktop : undefined)).lhr);
      }
      await context.close();
      rmSync(profile, { recursive: true, force: true });

      const names = Object.keys(reports[0]?.categories ?? {});
      const middle = names.map((name) => {
        const report = median(reports, (one) => points(one, name));
        return { name, points: points(report, name), weak: weak(report, name) };
      });
      const one = median(reports, (report) => points(report, 'performance'));
      const figures = Object.entries(METRICS).map(
        ([audit, name]) => `${name} ${one.audits[audit]?.displayValue}`,
      );
      console.log(
        `lighthouse, ${view}, ${device}: ${middle.map((each) => `${each.name} ${each.points}`).join(', ')} ` +
          `(${figures.join(', ')}; performance of each run: ${reports.map((each) => points(each, 'performance')).join(', ')})`,
      );
      expect(middle.filter((each) => each.points < GOAL)).toEqual([]);
    });
  }
}
