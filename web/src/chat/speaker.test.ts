import { describe, expect, it } from 'vitest';
import { sentences, Speaker } from './speaker';

describe('what is read aloud', () => {
  it('is whole sentences, and not too often', () => {
    let now = 0;
    const speaker = new Speaker(() => now);
    speaker.begin();
    expect(speaker.say('Whales sleep. They', false)).toBeNull();
    now = 3000;
    expect(speaker.say('Whales sleep. They', false)).toBe('Whales sleep.');
    now = 4000;
    expect(speaker.say('Whales sleep. They dream. And', false)).toBeNull();
    now = 6000;
    expect(speaker.say('Whales sleep. They dream. And', false)).toBe('They dream.');
    now = 9000;
    expect(speaker.say('Whales sleep. They dream. And', false)).toBeNull();
    expect(speaker.say('Whales sleep. They dream. And **wake**', true)).toBe('And wake');
  });

  it('begins again after a reset', () => {
    let now = 0;
    const speaker = new Speaker(() => now);
    speaker.begin();
    now = 3000;
    speaker.say('A long first answer. ', false);
    now = 6000;
    expect(speaker.say('Other. ', false)).toBe('Other.');
  });

  it('knows where sentences end', () => {
    expect(sentences('3.14 is pi')).toBe(0);
    expect(sentences('One. Two')).toBe(4);
    expect(sentences('- one\n- two')).toBe(6);
  });
});
