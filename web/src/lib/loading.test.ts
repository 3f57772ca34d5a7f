import { expect, it } from 'vitest';
import { ApiError } from '../api/error';
import { Loaded } from './loading.svelte';

it('shows the answer to the newest question, however late older ones come', async () => {
  const loaded = new Loaded<string>();
  let answerFirst = (_: string): void => {};
  const first = loaded.load(() => new Promise((resolve) => (answerFirst = resolve)));
  const second = loaded.load(async () => 'second');
  await second;
  expect(loaded.busy).toBe(false);
  answerFirst('first');
  await first;
  expect(loaded.value).toBe('second');
});

it('keeps what was there when a later question fails, and forgets the failure after', async () => {
  const loaded = new Loaded<string>();
  await loaded.load(async () => 'one');
  await loaded.load(() => Promise.reject(new ApiError(503, 'shutting_down', '')));
  expect(loaded.value).toBe('one');
  expect(loaded.problem?.code).toBe('shutting_down');
  await loaded.load(async () => 'two');
  expect([loaded.value, loaded.problem]).toEqual(['two', null]);
});
