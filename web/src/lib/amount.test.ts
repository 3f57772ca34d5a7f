import { describe, expect, it } from 'vitest';
import { decimal, micros, parseAmount, sum, toJson } from './amount';

describe('amounts', () => {
  it('are whole millionths', () => {
    expect(micros(1.000001)).toBe(1_000_001n);
    expect(micros(0.000001)).toBe(1n);
    expect(micros(-12.5)).toBe(-12_500_000n);
    expect(micros(999_999_999.999999)).toBe(999_999_999_999_999n);
    expect(micros(0)).toBe(0n);
  });

  it('add up without the errors of floats', () => {
    expect(0.1 + 0.2).not.toBe(0.3);
    expect(sum([0.1, 0.2])).toBe(micros(0.3));
    expect(sum(Array.from({ length: 1_000 }, () => 0.000_001))).toBe(1_000n);
    expect(sum([5, -2.25])).toBe(2_750_000n);
  });

  it('are written as short as can be', () => {
    expect(decimal(1_500_000n)).toBe('1.5');
    expect(decimal(1n)).toBe('0.000001');
    expect(decimal(-1_000_000n)).toBe('-1');
    expect(decimal(0n)).toBe('0');
  });

  it('go to JSON as the decimal they are', () => {
    for (const amount of [1n, 100_000n, 1_000_001n, 999_999_999_999_999n, 123_456_789_012_345n]) {
      expect(JSON.stringify(toJson(amount)).replace(/^1e-6$/, '0.000001')).toBe(decimal(amount));
      expect(micros(toJson(amount))).toBe(amount);
    }
  });
});

describe('what is typed', () => {
  const read = (text: string, locale = 'en'): bigint | string => {
    const { amount, problem } = parseAmount(text, locale);
    return amount ?? problem;
  };

  it('is read as the language writes numbers', () => {
    expect(read('1,000')).toBe(1_000_000_000n);
    expect(read('1.000', 'de')).toBe(1_000_000_000n);
    expect(read('1.234.567,5', 'de')).toBe(1_234_567_500_000n);
    expect(read('1,234,567.5')).toBe(1_234_567_500_000n);
    expect(read('1,5', 'de')).toBe(1_500_000n);
    expect(read('1.5')).toBe(1_500_000n);
    // The other separator, where it can only mean a fraction.
    expect(read('1.5', 'de')).toBe(1_500_000n);
    expect(read('1,5')).toBe(1_500_000n);
    expect(read('0.000', 'en')).toBe('zero');
    expect(read(' 2 500 ', 'fr')).toBe(2_500_000_000n);
    expect(read('.5')).toBe(500_000n);
    expect(read("10'000", 'de-CH')).toBe(10_000_000_000n);
  });

  it('is refused with the reason', () => {
    expect(read('')).toBe('missing');
    expect(read('  ')).toBe('missing');
    expect(read('ten')).toBe('number');
    expect(read('-5')).toBe('number');
    expect(read('1e3')).toBe('number');
    expect(read('1.2.3')).toBe('number');
    expect(read('1,2,3')).toBe('number');
    expect(read('.')).toBe('number');
    expect(read('0')).toBe('zero');
    expect(read('0.0000001')).toBe('fine');
    expect(read('1.5000000')).toBe(1_500_000n);
    expect(read('1000000000')).toBe('large');
    expect(read('999999999.999999')).toBe(999_999_999_999_999n);
  });
});
