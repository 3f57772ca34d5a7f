// What a model writes: shown as it is meant, and never run.
import { expect, test } from './fixtures.ts';
import { ATTACKS, MARKDOWN } from './answers.ts';
import { Talk } from './talk.ts';

test('tables, lists, tasks, quotations, code and formulas', async ({ page, context, person }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: person.url });
  const talk = await Talk.open(page);
  await talk.ask(`Show everything !script delay=3ms echo\n${MARKDOWN}`);
  const { text } = talk;
  await expect(text.getByRole('heading', { name: 'How whales sleep' })).toBeVisible();
  await expect(text.getByRole('columnheader')).toHaveText(['animal', 'hours', 'alone']);
  await expect(text.getByRole('cell', { name: '1.5' })).toHaveCSS('text-align', /right|end/);
  await expect(text.getByRole('checkbox')).toHaveCount(2);
  await expect(text.getByRole('checkbox').first()).toBeChecked();
  await expect(text.getByRole('checkbox').last()).not.toBeChecked();
  await expect(text.locator('blockquote')).toContainText('nothing we know');
  const link = text.getByRole('link', { name: 'a study' });
  await expect(link).toHaveAttribute('target', '_blank');
  await expect(link).toHaveAttribute('rel', /noopener/);

  const code = text.locator('.code');
  await expect(code.locator('.language')).toHaveText('python');
  await expect(code.locator('.hljs-keyword').first()).toHaveText('def');
  await code.getByRole('button', { name: 'Copy this code' }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
    'def sleep(hours: float) -> str:\n    return "z" * int(hours)  # quietly',
  );

  await expect(text.locator('.katex')).toHaveCount(2);
  await expect(text.locator('.katex-display')).toHaveCount(1);
  expect(
    await text
      .locator('.katex math')
      .first()
      .evaluate((math) => math.namespaceURI),
  ).toContain('MathML');
  await expect(text).toContainText('Prices of $5 and $6 are no formula.');

  // The same after it is loaded again, not written.
  await page.reload();
  await expect(text.locator('.katex')).toHaveCount(2);
  await expect(code.locator('.hljs-keyword').first()).toHaveText('def');
});

test('an image of another host is fetched only after a click', async ({ page, context, person: _ }) => {
  const fetched: string[] = [];
  const pixel = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  // The outside, which a test does not have.
  await context.route('https://images.example/**', (route) => {
    fetched.push(route.request().url());
    return route.fulfill({ body: pixel, contentType: 'image/png' });
  });
  const talk = await Talk.open(page);
  await talk.ask(
    'Look !script echo\nHere: ![a cat](https://images.example/cat.png) and ![b](data:image/png;base64,' +
      `${pixel.toString('base64')})`,
  );
  const show = talk.text.getByRole('button', { name: 'Show image from images.example' });
  await expect(show).toBeVisible();
  await expect(talk.text.getByRole('img', { name: 'b' })).toHaveJSProperty('naturalWidth', 1);
  expect(fetched).toEqual([]);
  await show.click();
  await expect(talk.text.getByRole('img', { name: 'a cat' })).toHaveJSProperty('naturalWidth', 1);
  expect(fetched).toEqual(['https://images.example/cat.png']);
});

test('nothing that an answer carries runs, is fetched, or covers the page', async ({
  page,
  context,
  person,
  elsewhere,
  complaints,
}) => {
  const foreign: string[] = [];
  const seen = async (one: typeof context): Promise<void> => {
    await one.exposeFunction('stolen', (which: number) => foreign.push(`ran ${which}`));
    one.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (/^https?:$/.test(protocol) && host !== new URL(person.url).host) foreign.push(request.url());
    });
  };
  await seen(context);
  const talk = await Talk.open(page);
  await talk.ask(`Attack me !script delay=1ms echo\n${ATTACKS}`);
  const poke = async (prose: typeof talk.text): Promise<void> => {
    await expect(prose).toContainText('clobber');
    for (const name of [
      'script',
      'iframe',
      'object',
      'embed',
      'form',
      'style',
      'link',
      'base',
      'meta',
      'svg > script',
    ]) {
      await expect(prose.locator(name), name).toHaveCount(0);
    }
    const left = await prose.evaluate((root) =>
      [...root.querySelectorAll('*')].flatMap((element) =>
        [...element.attributes]
          .filter(
            ({ name, value }) => name.startsWith('on') || /^\s*(javascript|vbscript|data:text)/i.test(value),
          )
          .map(({ name, value }) => `${element.tagName} ${name}=${value}`),
      ),
    );
    expect(left).toEqual([]);
    // Not even when it is touched.
    for (const link of await prose.getByText(/^(click|data|vb|tab|entity|cover|more)$/).all()) {
      await link.dispatchEvent('mouseover');
      await link.dispatchEvent('click');
    }
  };
  await poke(talk.text);
  await page.reload();
  await poke(talk.text);
  await expect(talk.composer).toBeInViewport();
  await talk.composer.click({ timeout: 3000 });

  const { path } = await person.post<{ path: string }>(`/sessions/${talk.id}/share`, {}, 201);
  const reader = await elsewhere();
  await seen(reader);
  const shared = await reader.newPage();
  await shared.goto(path);
  await poke(shared.locator('.prose').first());
  expect(foreign).toEqual([]);
  // While it reads the text the sanitiser meets these, in a document that is never shown and runs
  // nothing; Chromium tells of them all the same. None is left in what is shown: see `poke`.
  const met = /inline style|base URI|inline event handler/;
  expect(complaints.splice(0).filter((text) => !met.test(text))).toEqual([]);
  for (const one of [page, shared]) expect(new URL(one.url()).origin).toBe(person.url);
});

test('a title and a name are text', async ({ page, person }) => {
  const title = '<img src=x onerror=alert(1)> & <b>bold</b>';
  const { id } = await person.conversation(title, 'Hello !script tokens=2');
  await Talk.open(page, id);
  await expect(page.getByRole('link', { name: title })).toBeVisible();
  await expect(page.locator('img')).toHaveCount(0);
});
