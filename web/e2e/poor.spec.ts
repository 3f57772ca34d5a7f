// With hardly any credits.
import { expect, test } from './fixtures.ts';
import { Person } from './person.ts';
import { Talk, words } from './talk.ts';
import { ADMIN } from './world.ts';

test.use({ settings: { grant: 0.1 } });

test('without credits it is said what to do, and the text stays', async ({ page, person, elsewhere }) => {
  const talk = await Talk.open(page);
  await talk.ask('More than I have !script tokens=200');
  await expect(talk.answers.last()).toContainText('The credits ran out here. What was written is kept.');
  const [, answer] = await person.messages(talk.id);
  expect(answer?.end_reason).toBe('insufficient_credits');
  await expect(talk.text).toHaveText(answer?.content.trim() ?? '');

  await talk.send('And now? !script tokens=20');
  const notice = page.getByRole('alert').filter({ hasText: 'Not enough credits' });
  await expect(notice).toContainText('You have 0 left.');
  await expect(notice).toContainText('Ask an administrator for more, or choose a cheaper model.');
  await expect(talk.composer).toHaveValue('And now? !script tokens=20');
  await expect(talk.prompts).toHaveCount(1);

  const admin = await Person.known(await elsewhere(), person.url, ADMIN);
  const me = await person.get<{ id: string }>('/auth/me');
  await admin.post('/credits/allocate', { target_user_id: me.id, amount: 50 });
  await expect(page.getByRole('link', { name: /Balance: 50/ })).toBeVisible();
  await notice.getByRole('button', { name: 'Try again' }).click();
  await expect(talk.answers).toHaveCount(2);
  await talk.settled();
  await expect(talk.text).toHaveText(words(20));
  expect(await person.messages(talk.id)).toHaveLength(4);
});
