import { describe, expect, it } from 'vitest';
import { apply, begin, isAfter, type Answer } from './answer';
import type { StreamEvent } from './parser';

function event(kind: string, data: unknown, id: string | null): StreamEvent {
  return { kind, data: JSON.stringify(data), id };
}

const message = { id: 'm', content: 'Whales sleep.', parent_id: 'p' };
const LOG: StreamEvent[] = [
  event('start', { run_id: 'r', message_id: 'm', prompt_id: 'p' }, '1-1'),
  event('', { text: 'Whales ', offset: 0 }, '1-2'),
  event('', { text: 'sleep.', offset: 7 }, '1-3'),
  event('usage', { prompt_tokens: 3, completion_tokens: 2 }, '1-4'),
  event('end', { end_reason: 'stop', message, usage: null, credits: { charged: 0.5, balance: 9 } }, '1-5'),
];
const fold = (events: StreamEvent[], from: Answer = begin()): Answer => events.reduce(apply, from);

describe('an answer', () => {
  it('is the fold of its events', () => {
    const answer = fold(LOG);
    expect(answer).toMatchObject({
      runId: 'r',
      messageId: 'm',
      promptId: 'p',
      text: 'Whales sleep.',
      lastId: '1-5',
    });
    expect(answer.usage).toEqual({ prompt_tokens: 3, completion_tokens: 2 });
    expect(answer.end).toMatchObject({ reason: 'stop', charged: 0.5, balance: 9, message: { id: 'm' } });
  });

  it('counts no event twice, wherever a connection broke and however much comes again', () => {
    const whole = fold(LOG);
    for (let broke = 0; broke <= LOG.length; broke++) {
      for (let again = 0; again <= broke; again++) {
        expect(fold([...LOG.slice(0, broke), ...LOG.slice(again)])).toEqual(whole);
      }
    }
  });

  it('changes nothing, not even its identity, for an event it has seen', () => {
    const half = fold(LOG.slice(0, 3));
    expect(apply(half, LOG[1] as StreamEvent)).toBe(half);
  });

  it('begins again with the text of a reset, whatever its id', () => {
    const half = fold(LOG.slice(0, 3));
    const reset = apply(half, event('reset', { text: 'Wha', reason: 'provider_failed' }, '1-2'));
    expect(reset).toMatchObject({ text: 'Wha', reset: 'provider_failed', lastId: '1-2' });
    const on = fold([event('', { text: 'ts up?' }, '2-1'), event('', { text: '!' }, '2-2')], reset);
    expect(on.text).toBe('Whats up?!');
  });

  it('tells of a failure, with the end that carries it', () => {
    const error = { code: 'provider_failed', detail: 'It broke off.' };
    const answer = fold([
      ...LOG.slice(0, 2),
      event('error', error, '1-3'),
      event(
        'end',
        { end_reason: 'error', message: null, credits: { charged: 0, balance: 10 }, error },
        '1-4',
      ),
    ]);
    expect(answer.failure).toEqual(error);
    expect(answer.end?.message).toBeNull();
    expect(answer.text).toBe('Whales ');
  });

  it('takes the stored text for the true one', () => {
    const end = event('end', { end_reason: 'stopped', message: { ...message, content: 'Wha' } }, '1-9');
    expect(fold([...LOG.slice(0, 3), end]).text).toBe('Wha');
  });

  it('survives data that is not what it should be', () => {
    const broken = fold([
      { kind: '', data: 'not json', id: '1-1' },
      { kind: '', data: '[]', id: '1-2' },
      { kind: 'end', data: 'null', id: '1-3' },
    ]);
    expect(broken).toMatchObject({ text: '', end: { reason: '', message: null, charged: null } });
  });
});

describe('event ids', () => {
  it('are ordered by epoch, then by number', () => {
    expect(isAfter('1-10', '1-9')).toBe(true);
    expect(isAfter('1-9', '1-10')).toBe(false);
    expect(isAfter('2-1', '1-99')).toBe(true);
    expect(isAfter('1-1', '1-1')).toBe(false);
    expect(isAfter('1-1', null)).toBe(true);
    expect(isAfter(null, '1-1')).toBe(true);
  });
});
