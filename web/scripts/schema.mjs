// The API's types, made from the committed OpenAPI document; used by
// generate-api.mjs, which writes them, and by a test, which compares.
import { readFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';

export const target = new URL('../src/api/schema.d.ts', import.meta.url);
const source = new URL('../../docs/openapi.json', import.meta.url);

export async function generate() {
  const document = JSON.parse(readFileSync(source, 'utf8'));
  const text = astToString(await openapiTS(document, { alphabetize: true }));
  return `// Made by \`npm run generate\` from docs/openapi.json; do not edit.\n\n${text}`;
}
