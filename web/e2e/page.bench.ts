// Figures, not a test: how soon a long conversation is there, how smooth a long
// list is, and typing while an answer is written quickly.
import type { Locator, Page } from '@playwright/test';
import { test } from './fixtures.ts';
import { MARKDOWN } from './answers.ts';
import { fillList, headersOf } from './many.ts';
import type { Person } from './person.ts';
import { Sidebar, Talk } from './talk.ts';
import { FRAME, traced } from './trace.ts';

test.describe.configure({ mode: 'serial' });
// In one browser, one after the other.
test.use({ settings: { grant: 1_000_000, history: 2 } });

const MESSAGES = 10_000;
const CONVERSATIONS = 50_000;

const ms = (value: number): string => `${value.toFixed(1)} ms`;

function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
}

/** Asks so often; without the browser, as it takes long enough. */
async function fill(person: Person, id: string): Promise<void> {
  const headers = await headersOf(person);
  for (let n = 0; n < MESSAGES / 2; n++) {
    const answer = await fetch(`${person.url}/sessions/${id}/messages`, {
      method: 'POST',
      headers,
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
  for (let n = 0; n < 20; n++) {
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
    `a conversation of ${MESSAGES} messages, newest painted (goal 300 ms at worst): from the list p50 ` +
      `${ms(quantile(opened, 0.5))}, p95 ${ms(quantile(opened, 0.95))}, first ${ms(opened[0] ?? 0)}, ` +
      `worst of ${opened.length} ${ms(Math.max(...opened))}; the page loaded anew p50 ${ms(quantile(loaded, 0.5))}`,
  );
});

/** Until rows are painted in the middle of the list, from when it is scrolled to this share of its length. */
function jump(list: Locator, share: number): Promise<number> {
  return list.evaluate(async (list, share) => {
    const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
    const box = list.getBoundingClientRect();
    const began = performance.now();
    list.scrollTop = share * list.scrollHeight;
    do await frame();
    while (
      !document
        .elementFromPoint(box.x + 60, box.y + box.height / 2)
        ?.closest('li')
        ?.querySelector('a')
    );
    await new Promise((resolve) => setTimeout(resolve));
    return performance.now() - began;
  }, share);
}

/** The wheel is turned for some seconds; what was between the frames. */
async function fling(page: Page, seconds: number): Promise<number[]> {
  await page.evaluate(() => {
    const between: number[] = [];
    Object.assign(window, { between });
    let last = performance.now();
    const frame = (now: number): void => {
      between.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) await page.mouse.wheel(0, 900);
  return page.evaluate(() => (window as unknown as { between: number[] }).between);
}

/** Types it into the search, and answers how long after its last letter only what has it was listed. */
async function search(page: Page, query: string): Promise<number> {
  const { search } = new Sidebar(page);
  await search.fill('');
  const found = page.evaluate(async (query) => {
    let typed = 0;
    addEventListener('input', (event) => (typed = event.timeStamp), true);
    const field = document.querySelector<HTMLInputElement>('[role=search] input');
    const listed = (): boolean => {
      const hits = [...document.querySelectorAll('nav.found a')];
      return hits.length > 0 && hits.every((hit) => hit.textContent.includes(query));
    };
    do await new Promise((resolve) => requestAnimationFrame(resolve));
    while (field?.value !== query || !listed());
    return performance.now() - typed;
  }, query);
  await search.pressSequentially(query, { delay: 60 });
  return found;
}

test('a long list', async ({ page, person }) => {
  await fillList(person, CONVERSATIONS, (n) => `Common title rare${n}`);
  const { list } = new Sidebar(page);
  await page.addInitScript(() => {
    const frame = (): void => {
      if (document.querySelector('nav li a')) Object.assign(window, { rows: performance.now() });
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const loaded: number[] = [];
  for (let n = 0; n < 10; n++) {
    await page.goto('/app', { waitUntil: 'commit' });
    await page.waitForFunction(() => 'rows' in window);
    loaded.push(await page.evaluate(() => (window as unknown as { rows: number }).rows));
  }
  const jumps: number[] = [];
  for (let n = 0; n < 20; n++) jumps.push(await jump(list, 0.5 + n / 50));
  await jump(list, 0);
  await list.hover();
  const { value: between, frames, tasks } = await traced(page, () => fling(page, 5));
  const reached = await list.evaluate((list) => Math.round(list.scrollTop / 36));
  const searches: number[] = [];
  for (let n = 0; n < 20; n++) searches.push(await search(page, `rare${n * (CONVERSATIONS / 20) + 7}`));
  console.log(
    `${CONVERSATIONS} conversations in the list: the page loaded until its first rows (goal 300 ms) p50 ` +
      `${ms(quantile(loaded, 0.5))}, worst of ${loaded.length} ${ms(Math.max(...loaded))}; flung through ` +
      `${reached} of them, between frames (goal p95 33 ms) p50 ${ms(quantile(between, 0.5))}, ` +
      `p95 ${ms(quantile(between, 0.95))}, worst ${ms(Math.max(...between))}, work of a frame p95 ` +
      `${ms(quantile(frames, 0.95))}, longest task ${ms(Math.max(...tasks))}; a jump to the middle until its ` +
      `rows are shown p50 ${ms(quantile(jumps, 0.5))}, worst of ${jumps.length} ${ms(Math.max(...jumps))}; a ` +
      `search from its last letter (it waits for 120 ms) p50 ${ms(quantile(searches, 0.5))}, worst of ` +
      `${searches.length} ${ms(Math.max(...searches))}`,
  );
});

/** Types for some seconds, and answers how long each key waited for its letter to be in the field. */
async function typing(page: Page, seconds: number): Promise<number[]> {
  await page.evaluate(() => {
    const keys: number[] = [];
    Object.assign(window, { keys });
    let pressed = 0;
    addEventListener('keydown', (event) => (pressed = event.timeStamp), true);
    // Behind everything that the page does about it.
    addEventListener('input', () => queueMicrotask(() => keys.push(performance.now() - pressed)));
    // So that there is a frame at every turn of the screen, and each has its share of the work.
    const frame = (): unknown => requestAnimationFrame(frame);
    frame();
  });
  const until = Date.now() + seconds * 1000;
  let typed = 0;
  while (Date.now() < until) {
    await page.keyboard.press(typed++ % 6 === 5 ? 'Space' : 'x', { delay: 30 });
  }
  return page.evaluate(() => (window as unknown as { keys: number[] }).keys);
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
    const { value: keys, tasks, frames, busy } = await traced(page, () => typing(page, 5));
    const late = frames.filter((frame) => frame > FRAME).length;
    console.log(
      `typing while ${kind} streams at 200 tokens/s: work of a frame p50 ${ms(quantile(frames, 0.5))}, ` +
        `p95 ${ms(quantile(frames, 0.95))}, p99 ${ms(quantile(frames, 0.99))}, worst ${ms(Math.max(...frames))} ` +
        `(on a processor p99 ${ms(quantile(busy, 0.99))}, worst ${ms(Math.max(...busy))}), ${late} of ${frames.length} over ${FRAME} ms; a key until its letter is there p95 ${ms(quantile(keys, 0.95))}, ` +
        `worst ${ms(Math.max(...keys))}; longest task ${ms(Math.max(...tasks))}`,
    );
    if (script) await page.keyboard.press('Escape');
  });
}
