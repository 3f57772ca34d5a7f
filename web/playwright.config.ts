// The page in Debian's Chromium against the real server (e2e/world.ts starts it).
//   npm run e2e          the tests
//   npm run bench        figures of opening and of typing while an answer is written
//   npm run screenshots  docs/screenshots
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from '@playwright/test';
import type { WorldOptions } from './e2e/fixtures.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** It prints where Chromium is, and puts it there when it is missing. */
process.env.TERTULIA_CHROMIUM ??= execFileSync(`${root}scripts/browser`, {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
}).trim();

export default defineConfig<object, WorldOptions>({
  testDir: 'e2e',
  outputDir: `${root}target/e2e`,
  // Each is a server and a browser.
  workers: Math.min(4, Math.max(2, Math.floor(availableParallelism() / 2))),
  fullyParallel: true,
  forbidOnly: true,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  use: {
    locale: 'en-GB',
    timezoneId: 'UTC',
    viewport: { width: 1280, height: 860 },
    actionTimeout: 15_000,
    trace: 'off',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.TERTULIA_CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
        '--disable-quic',
      ],
    },
  },
  projects: [
    { name: 'e2e', testMatch: '*.spec.ts' },
    { name: 'bench', testMatch: '*.bench.ts', timeout: 600_000 },
    { name: 'lighthouse', testMatch: '*.lighthouse.ts', timeout: 300_000 },
    { name: 'screenshots', testMatch: '*.shots.ts', timeout: 300_000 },
  ],
});
