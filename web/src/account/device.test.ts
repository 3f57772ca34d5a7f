import { expect, it } from 'vitest';
import { deviceName } from './device';

const kit = 'AppleWebKit/537.36 (KHTML, like Gecko)';

it('knows browsers by what they say, although they all say Safari', () => {
  const known: [string, string, string, boolean][] = [
    [`Mozilla/5.0 (X11; Linux x86_64) ${kit} Chrome/142.0.0.0 Safari/537.36`, 'Chrome', 'Linux', false],
    [`Mozilla/5.0 (Windows NT 10.0) ${kit} Chrome/142.0 Safari/537.36 Edg/142.0`, 'Edge', 'Windows', false],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0',
      'Firefox',
      'macOS',
      false,
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
      'Safari',
      'iPhone',
      true,
    ],
    [`Mozilla/5.0 (Linux; Android 15) ${kit} Chrome/142.0 Mobile Safari/537.36`, 'Chrome', 'Android', true],
  ];
  for (const [agent, program, system, handheld] of known) {
    expect(deviceName(agent)).toEqual({ program, system, handheld });
  }
});

it('takes other programs by their name, and says when it knows nothing', () => {
  expect(deviceName('curl/8.5.0')).toEqual({ program: 'curl', system: null, handheld: false });
  for (const nothing of [null, undefined, '', '  ']) {
    expect(deviceName(nothing)).toEqual({ program: null, system: null, handheld: false });
  }
});
