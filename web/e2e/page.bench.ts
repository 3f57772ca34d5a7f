// Figures, not a test: how soon a long conversation is there, and how smooth
// typing is while an answer is written quickly.
import type { Page } from '@playwright/test';
import { test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import type { Person } from './person.ts';
import { Talk } from './talk.ts';

test.describe.configure({ mode: 'serial' });
// In one browser, one after the other.
test.use({ settings: { grant: 1_000_000, history: 2 } });

const MESSAGES = 10_000;

const ms = (value: number): string => `${value.toFixed(1)} ms`;

function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
}

/** Asks so often; without the browser, as it takes long enough. */
async function fill(person: Person, id: string): Promise<void> {
  const headers = { 'Content-Type': 'application/json' };
  const who = { username: person.email, password: person.password };
  const signedIn = await fetch(`${person.url}/auth/login`, {
    method: 'POST',
    headers,
    body: JSON.stringify(who),
  });
  const { access_token: token } = (await signedIn.json()) as { access_token: string };
  for (let n = 0; n < MESSAGES / 2; n++) {
    const answer = await fetch(`${person.url}/sessions/${id}/messages`, {
      method: 'POST',
      headers: { ...headers, Authorization: `Bearer ${token}` },
      body: JSON.stringify({ prompt: `Question ${n} !script tokens=60` }),
    });
    if (!answer.ok) throw new Error(await answer.text());
    await answer.arrayBuffer();
  }
}

test('opening', async ({ page, person }) => {
  const { id } = await person.post<{ id: string }>('/sessions', { title: 'The long one' }, 201);
  await fill(person, id);
  await person.conversation('Another', 'Hello !script tokens=2');
  await Talk.open(page);
  await page.getByRole('link', { name: 'The long one' }).waitFor();
  const opened: number[] = [];
  for (let n = 0; n < 7; n++) {
    opened.push(
      await page.evaluate(async () => {
        const link = [...document.querySelectorAll<HTMLElement>('nav a')].find((one) =>
          one.textContent.includes('The long one'),
        );
        const began = performance.now();
        link?.click();
        const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
        while (
          ![...document.querySelectorAll('main .bubble')].at(-1)?.textContent.includes('Question 4999')
        ) {
          await frame();
        }
        // Painted, not only there.
        await frame();
        await new Promise((resolve) => setTimeout(resolve));
        return performance.now() - began;
      }),
    );
    await page.getByRole('link', { name: 'New conversation' }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
  }
  const loaded: number[] = [];
  for (let n = 0; n < 5; n++) {
    await page.goto(`/app/c/${id}`, { waitUntil: 'commit' });
    await page.locator('main .bubble').last().getByText('Question 4999').waitFor();
    loaded.push(await page.evaluate(() => performance.now()));
  }
  console.log(
    `a conversation of ${MESSAGES} messages, newest painted (goal 300 ms): from the list p50 ${ms(quantile(opened, 0.5))}, ` +
      `first ${ms(opened[0] ?? 0)}, worst ${ms(Math.max(...opened))}; the page loaded anew p50 ${ms(quantile(loaded, 0.5))}`,
  );
});

interface Frames {
  frames: number[];
  keys: number[];
  long: number[];
}

/** Types for some seconds and answers how long frames and keys took. */
async function typing(page: Page, seconds: number): Promise<Frames> {
  await page.evaluate(() => {
    const seen: Frames = { frames: [], keys: [], long: [] };
    Object.assign(window, { seen });
    let last = performance.now();
    const frame = (now: number): void => {
      seen.frames.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (entry.name === 'keydown') seen.keys.push(entry.duration);
    }).observe({ type: 'event', durationThreshold: 16 } as PerformanceObserverInit);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) seen.long.push(entry.duration);
    }).observe({ type: 'longtask' });
  });
  const until = Date.now() + seconds * 1000;
  let typed = 0;
  while (Date.now() < until) {
    await page.keyboard.press(typed++ % 6 === 5 ? 'Space' : 'x', { delay: 30 });
  }
  return page.evaluate(() => (window as unknown as { seen: Frames }).seen);
}

const PROSE = 'The whale sleeps in **the deep**, upright, like a row of candles. It dreams of nothing. ';
const KINDS: [string, string][] = [
  ['nothing', ''],
  ['prose', `text=${PROSE.repeat(120)}`],
  ['Markdown', `echo\n${MARKDOWN.repeat(16)}`],
  ['code', `echo\n\`\`\`rust\n${'fn main() { println!("hello {}", 42); }\n'.repeat(400)}\`\`\``],
  [
    'a list',
    `echo\n${Array.from({ length: 400 }, (_, n) => `- item **${n}** with \`code\` and words`).join('\n')}`,
  ],
];

for (const [kind, script] of KINDS) {
  test(`typing beside ${kind}`, async ({ page, person: _ }) => {
    const talk = await Talk.open(page);
    if (script) {
      await talk.send(`Write !script delay=5ms ${script}`);
      await talk.stop.waitFor();
      await page.waitForFunction(
        () => (document.querySelector('main .prose')?.textContent.length ?? 0) > 300,
      );
    }
    const { frames, keys, long } = await typing(page, 5);
    const share = (100 * frames.filter((frame) => frame > 17.5).length) / frames.length;
    console.log(
      `typing while ${kind} streams at 200 tokens/s: frames p50 ${ms(quantile(frames, 0.5))}, p95 ${ms(quantile(frames, 0.95))}, ` +
        `p99 ${ms(quantile(frames, 0.99))}, worst ${ms(Math.max(...frames))}, ${share.toFixed(1)} % late; ` +
        `keys on screen p95 ${ms(quantile(keys, 0.95))}; tasks over 50 ms: ${long.length}`,
    );
    if (script) await page.keyboard.press('Escape');
  });
}
