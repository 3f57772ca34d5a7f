// The documentation of the API: all of it comes from the server itself. A violation of its policy is an error in the
// console, which fails any test (fixtures.ts).
import { expect, test } from './fixtures.ts';

test('the API can be read and tried, and no other server is asked', async ({ page, world }) => {
  const elsewhere: string[] = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== world.url && !['data:', 'blob:'].includes(url.protocol)) elsewhere.push(url.href);
  });
  const answer = await page.goto('/docs');
  expect(answer?.headers()['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; /);

  const health = 'Whether the server and what it needs are well';
  await page.getByRole('link', { name: health }).click();
  await expect(page.getByRole('heading', { name: health })).toBeVisible();
  await page.getByRole('button', { name: 'Test Request (get /health)' }).click();
  const client = page.getByRole('dialog', { name: 'API Client' });
  await client.getByRole('button', { name: 'Send get request to /health' }).click();
  await expect(client.getByRole('link', { name: '200 OK' })).toBeVisible();
  await expect(client.getByText('active_jobs').first()).toBeVisible();
  expect(elsewhere).toEqual([]);
});
