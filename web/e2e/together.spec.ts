// Several tabs and several devices of one person stay in step.
import { expect, test } from './fixtures.ts';
import { Sidebar, Talk, words } from './talk.ts';

for (const where of ['tab', 'device'] as const) {
  test(`a second ${where} sees what happens as it happens`, async ({ page, context, person, elsewhere }) => {
    const { id } = await person.conversation('In step', 'Hello !script tokens=2');
    const other = where === 'tab' ? context : await elsewhere();
    if (where === 'device') await person.at(other);
    const here = await Talk.open(page, id);
    const there = await Talk.open(await other.newPage(), id);
    await expect(there.text).toHaveText(words(2));

    await here.send('Both of you !script tokens=50 delay=60ms');
    await expect(there.prompts).toHaveCount(2);
    await there.reached(3);
    await expect(there.stop).toBeVisible();
    await here.settled();
    await there.settled();
    for (const talk of [here, there]) await expect(talk.text).toHaveText(words(50));

    await here.send('Stop me there !script tokens=2000 delay=30ms');
    await there.reached(2);
    await there.stop.click();
    await here.settled();
    await expect(here.answers.last()).toContainText('Stopped.');

    const lists = [new Sidebar(page), new Sidebar(there.page)];
    await there.choose('Rename');
    await there.page.getByRole('dialog').getByLabel('Title').fill('Renamed there');
    await there.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    for (const list of lists) await expect(list.row('Renamed there')).toBeVisible();
    await expect(page).toHaveTitle(/Renamed there/);
    await there.choose('Pin');
    for (const list of lists) await expect(list.heading('Pinned')).toBeVisible();

    await here.page.getByRole('link', { name: 'New conversation' }).click();
    await here.ask('A new one !script tokens=2');
    await expect(lists[1]!.row('A new one')).toBeVisible();
    const balance = await page
      .getByText(/^[\d.,]+ credits$/)
      .first()
      .innerText();
    await expect(there.page.getByText(balance, { exact: true }).first()).toBeVisible();

    await person.call('DELETE', `/sessions/${id}`);
    await expect(there.page.getByRole('heading', { name: 'This conversation is not here' })).toBeVisible();
    for (const list of lists) await expect(list.row('Renamed there')).toBeHidden();
  });
}
