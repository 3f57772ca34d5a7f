// Reading along: the page follows an answer as long as the reader does.
import { expect, test } from './fixtures.ts';
import { Talk } from './talk.ts';

const LINES = `Read along !script delay=15ms echo\n${Array.from({ length: 400 }, (_, n) => `line${n}\n`).join('\n')}`;

test('the end is followed until one scrolls up, and again after', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  // More than is read here, however slow that is.
  await talk.send('Read along !script tokens=20000 delay=4ms');
  await talk.reached(900);
  await expect.poll(() => talk.below()).toBeLessThan(40);
  await talk.area.hover();
  await page.mouse.wheel(0, -400);
  const newest = page.getByRole('button', { name: 'Go to the newest message' });
  await expect(newest).toBeVisible();
  const top = await talk.area.evaluate((area) => area.scrollTop);
  const length = (await talk.text.innerText()).length;
  await expect.poll(async () => (await talk.text.innerText()).length).toBeGreaterThan(length + 1500);
  expect(Math.abs((await talk.area.evaluate((area) => area.scrollTop)) - top)).toBeLessThan(3);
  await newest.click();
  await expect(newest).toBeHidden();
  await expect.poll(() => talk.below()).toBeLessThan(40);
  await page.keyboard.press('Escape');
  await talk.settled();
});

test.describe('by touch', () => {
  test.use({ hasTouch: true });

  test('a slow finger goes up from the end while it grows', async ({ page, person: _ }) => {
    const talk = await Talk.open(page);
    // Where one types with fingers, Enter begins a line.
    await talk.composer.fill('Read along !script tokens=20000 delay=4ms');
    await page.getByRole('button', { name: 'Send' }).tap();
    await talk.reached(900);
    await expect.poll(() => talk.below()).toBeLessThan(40);
    const cdp = await page.context().newCDPSession(page);
    const touch = (type: string, y?: number) =>
      cdp.send('Input.dispatchTouchEvent', {
        type: type as 'touchMove',
        touchPoints: y === undefined ? [] : [{ x: 640, y }],
      });
    await touch('touchStart', 300);
    for (let y = 303; y <= 600; y += 3) {
      await touch('touchMove', y);
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
    }
    await touch('touchEnd');
    await expect(page.getByRole('button', { name: 'Go to the newest message' })).toBeVisible();
    expect(await talk.below()).toBeGreaterThan(150);
    await page.keyboard.press('Escape');
    await talk.settled();
  });
});

test('what is selected stays selected while the answer grows', async ({ page, person: _ }) => {
  const talk = await Talk.open(page);
  await talk.send(LINES);
  await expect(talk.text.getByText('line20', { exact: true })).toBeAttached();
  await talk.text.getByText('line3', { exact: true }).evaluate((element) => {
    getSelection()?.selectAllChildren(element);
  });
  // 400 lines are one word: they come at once with the next piece.
  await expect(talk.text.getByText('line399', { exact: true })).toBeAttached();
  expect(await page.evaluate(() => getSelection()?.toString())).toBe('line3');
});

test('a long conversation opens at its end and loads upwards', async ({ page, person }) => {
  const prompts = Array.from({ length: 30 }, (_, n) => `Question ${n} !script tokens=60`);
  const { id } = await person.conversation('Long', ...prompts);
  const talk = await Talk.open(page, id);
  await expect(talk.prompts.last()).toContainText('Question 29');
  await expect.poll(() => talk.below()).toBeLessThan(40);
  await expect(page.getByText('Question 0 ')).toHaveCount(0);
  for (let n = 0; n < 40 && (await page.getByText('Question 0 ').count()) === 0; n++) {
    await talk.area.hover();
    await page.mouse.wheel(0, -1200);
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  }
  await talk.area.evaluate((area) => area.scrollTo(0, 0));
  await expect(page.getByText('Question 0 ')).toBeVisible();
  await expect(talk.prompts).toHaveCount(30);
});

test('a screen reader hears whole pieces, not every word', async ({ page, person }) => {
  const { id } = await person.conversation('Heard', 'Hello !script tokens=2');
  const talk = await Talk.open(page, id);
  await expect(talk.prompts).toHaveCount(1);
  await page.locator('main > [aria-live=polite]').evaluate((region) => {
    const said: string[] = [];
    Object.assign(window, { said });
    new MutationObserver(() => said.push(region.textContent)).observe(region, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  const sentence = 'The whale sleeps in **the deep** like a candle. ';
  await talk.ask(`Speak !script delay=20ms text=${sentence.repeat(20)}`);
  const said = await page.evaluate(() => (window as unknown as { said: string[] }).said);
  const heard = said.join(' ');
  expect(heard).toContain('sleeps in the deep');
  expect(heard).not.toContain('**');
  // 180 words within some four seconds.
  expect(said.length).toBeGreaterThan(1);
  expect(said.length).toBeLessThan(20);
});
