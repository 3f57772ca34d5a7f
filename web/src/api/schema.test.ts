// @vitest-environment node
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { generate, target } from '../../scripts/schema.mjs';

it('the types are those of docs/openapi.json; `npm run generate` makes them anew', async () => {
  expect(readFileSync(target, 'utf8') === (await generate())).toBe(true);
});
