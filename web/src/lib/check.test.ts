import { describe, expect, it } from 'vitest';
import { check as checkAssistant, asked, withRoom } from '../assistants/form';
import { check as checkPrompt } from '../prompts/form';
import { line, long, newPassword, userName } from './check';

describe('fields', () => {
  it('are counted as the server counts', () => {
    expect(line('😀'.repeat(80), 80)).toBeUndefined();
    expect(line('😀'.repeat(81), 80)).toBe('form.long');
    expect(line(`  ${'a'.repeat(80)}  `, 80)).toBeUndefined();
    expect(line('   ', 80)).toBe('form.missing');
    expect(line('   ', 80, false)).toBeUndefined();
    expect(long('ä'.repeat(16 * 1024))).toBeUndefined();
    expect(long(`${'ä'.repeat(16 * 1024)}a`)).toBe('form.long.text');
    expect(long(' \n ', true)).toBe('form.missing');
  });

  it('for signing in', () => {
    expect(newPassword('1234567')).toBe('auth.password.short');
    expect(newPassword('12345678')).toBeUndefined();
    expect(newPassword('😀'.repeat(7))).toBe('auth.password.short');
    expect(newPassword('a'.repeat(257))).toBe('form.long');
    for (const good of ['', 'ana', 'Ana.B_c-9', '  ana ']) expect(userName(good)).toBeUndefined();
    for (const bad of ['a', 'a b', 'ana@b', 'ä'.repeat(3), 'a'.repeat(65)]) {
      expect(userName(bad)).toBe('account.username.invalid');
    }
  });
});

describe('a saved prompt', () => {
  const good = { title: 'Translate', command: 'translate', content: 'Translate this:' };
  it('has a command, a title and a text', () => {
    expect(checkPrompt(good)).toEqual({});
    expect(checkPrompt({ title: '', command: 'Über uns', content: ' ' })).toEqual({
      title: 'form.missing',
      command: 'prompts.command.invalid',
      content: 'form.missing',
    });
    expect(checkPrompt({ ...good, command: 'a'.repeat(33) })).toHaveProperty('command');
    expect(checkPrompt(good, ['mail', 'translate'])).toEqual({ command: 'error.command_exists' });
  });
});

describe('an assistant', () => {
  const good = {
    name: 'Ana',
    description: '',
    model_id: 'm',
    system_prompt: '',
    questions: ['What now?', ''],
  };
  it('has a name and a model', () => {
    expect(checkAssistant(good)).toEqual({});
    expect(checkAssistant({ ...good, name: ' ', model_id: '' })).toEqual({
      name: 'form.missing',
      model_id: 'form.missing',
    });
    expect(checkAssistant({ ...good, questions: ['ok', 'a'.repeat(301)] })).toEqual({
      question1: 'form.long',
    });
  });

  it('asks up to six questions', () => {
    expect(asked([' a ', '', '  '])).toEqual(['a']);
    expect(withRoom([])).toEqual(['']);
    expect(withRoom(['a'])).toEqual(['a', '']);
    expect(withRoom(['a', ''])).toEqual(['a', '']);
    expect(withRoom(['a', 'b', 'c', 'd', 'e', 'f'])).toHaveLength(6);
  });
});
