// Amounts of credits as whole millionths, so that sums and comparisons are exact.
// JSON brings them as decimals with at most six places (docs/openapi.json).

const PLACES = 6;
/** What the server takes at most, in millionths: below 1,000,000,000 credits. */
const LIMIT = 10n ** 15n;

/** Millionths of an amount from the API. */
export function micros(amount: number): bigint {
  // Its decimal digits, not a multiplication: 1.000001 * 1e6 is not whole.
  return BigInt(amount.toFixed(PLACES).replace('.', ''));
}

export function sum(amounts: Iterable<number>): bigint {
  let total = 0n;
  for (const amount of amounts) total += micros(amount);
  return total;
}

/** The shortest decimal text: 1500000n is "1.5". */
export function decimal(value: bigint): string {
  const sign = value < 0n ? '-' : '';
  const digits = (value < 0n ? -value : value).toString().padStart(PLACES + 1, '0');
  const fraction = digits.slice(-PLACES).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -PLACES)}${fraction && `.${fraction}`}`;
}

export type AmountProblem = 'missing' | 'number' | 'fine' | 'zero' | 'large';

interface Separators {
  decimal: string;
  group: string;
}

export function separators(locale: string): Separators {
  const parts = new Intl.NumberFormat(locale, { useGrouping: 'always' }).formatToParts(12345.6);
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '';
  return { decimal: part('decimal') || '.', group: part('group') || ',' };
}

/**
 * What somebody typed as an amount above zero. In German "1.000" is a thousand and
 * "1,5" one and a half; a separator that groups nothing ("1.5") is taken as the decimal one.
 */
export function parseAmount(
  text: string,
  locale: string,
): { amount: bigint; problem?: undefined } | { amount?: undefined; problem: AmountProblem } {
  const { decimal: point, group } = separators(locale);
  let plain = text.replace(/[\s\u00a0\u202f_'’]/g, '');
  if (plain === '') return { problem: 'missing' };
  const [whole = '', ...rest] = plain.split(point);
  const grouped = new RegExp(`^[1-9]\\d{0,2}(\\${/\s/.test(group) ? ',' : group}\\d{3})+$`);
  if (rest.length <= 1 && grouped.test(whole)) plain = [whole.replace(/\D/g, ''), ...rest].join('.');
  else plain = plain.replace(',', '.');
  const match = /^(\d*)\.?(\d*)$/.exec(plain);
  if (!match || plain === '.') return { problem: 'number' };
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > PLACES) return { problem: 'fine' };
  const amount = BigInt(`${match[1]}${fraction.padEnd(PLACES, '0')}`);
  if (amount === 0n) return { problem: 'zero' };
  if (amount >= LIMIT) return { problem: 'large' };
  return { amount };
}

/** As JSON wants it: up to 15 digits a number is exactly its decimal. */
export function toJson(amount: bigint): number {
  return Number(decimal(amount));
}
