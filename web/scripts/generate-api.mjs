import { writeFileSync } from 'node:fs';
import { generate, target } from './schema.mjs';

writeFileSync(target, await generate());
