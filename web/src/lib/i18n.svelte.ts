// Texts from src/messages/*.json, by the browser's language or by choice. Plurals
// are `key.one`, `key.other` ..., chosen with `count`; numbers and dates go through Intl.
import en from '../messages/en.json';
import { load, save } from './storage';

export type Key = keyof typeof en;
export type Params = Record<string, string | number>;
type Messages = Record<string, string>;
type PluralBase<K> = K extends `${infer B}.other` ? B : never;
export type PluralKey = PluralBase<Key>;

/** Every language there is, by its own name. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const;
export type Language = keyof typeof LANGUAGES;

const loaders: Record<Exclude<Language, 'en'>, () => Promise<{ default: Messages }>> = {
  de: () => import('../messages/de.json'),
};
const RTL = /^(ar|fa|he|ur|yi|ps|sd|ug|dv)\b/;

let language = $state<Language>('en');
let messages = $state.raw<Messages>(en);
/** The locale for numbers and dates: the browser's own variant of the language if it has one. */
let locale = $state('en');

export function wanted(): Language {
  const chosen = load('language');
  const all = [chosen, ...navigator.languages].filter((tag): tag is string => !!tag);
  for (const tag of all) {
    const short = tag.split('-')[0] as Language;
    if (short in LANGUAGES) return short;
  }
  return 'en';
}

/** Switches the language; `remember` makes it the person's choice. */
export async function setLanguage(to: Language, remember = false): Promise<void> {
  try {
    messages = to === 'en' ? en : (await loaders[to]()).default;
  } catch {
    // Better in another language than not at all.
    to = 'en';
    messages = en;
  }
  language = to;
  locale = navigator.languages.find((tag) => tag.split('-')[0] === to) ?? to;
  document.documentElement.lang = to;
  document.documentElement.dir = RTL.test(to) ? 'rtl' : 'ltr';
  if (remember) save('language', to);
}

export function currentLanguage(): Language {
  return language;
}

export function currentLocale(): string {
  return locale;
}

export function fill(text: string, params: Params): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(params[name] ?? whole));
}

/** The text for a key, its placeholders filled. */
export function t(key: Key, params: Params = {}): string {
  return fill(messages[key] ?? en[key] ?? key, params);
}

/** The same, in the plural form for `count`, which fills `{count}`. */
export function tn(key: PluralKey, count: number, params: Params = {}): string {
  const form = new Intl.PluralRules(locale).select(count);
  const text = messages[`${key}.${form}`] ?? messages[`${key}.other`] ?? key;
  return fill(text, { count: number(count), ...params });
}

/** Whether there is a text of this name: for names that come from the server. */
export function known(key: string): key is Key {
  return key in en;
}

const formats = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>();

function cached<T extends Intl.NumberFormat | Intl.DateTimeFormat>(key: string, make: () => T): T {
  const name = `${locale} ${key}`;
  let format = formats.get(name) as T | undefined;
  if (!format) formats.set(name, (format = make()));
  return format;
}

export function number(value: number, options: Intl.NumberFormatOptions = {}): string {
  return cached(`n${JSON.stringify(options)}`, () => new Intl.NumberFormat(locale, options)).format(value);
}

export function date(value: string | number | Date, options: Intl.DateTimeFormatOptions): string {
  return cached(`d${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(locale, options)).format(
    new Date(value),
  );
}

/** Day and time, as long as a tooltip may be. */
export function moment(value: string | number | Date): string {
  return date(value, { dateStyle: 'medium', timeStyle: 'short' });
}

/** An amount of credits: fewer places the larger it is; `exact` shows all six. */
export function credits(value: number, exact = false): string {
  if (exact) return number(value, { maximumFractionDigits: 6 });
  const size = Math.abs(value);
  if (size >= 1000 || size === 0) return number(value, { maximumFractionDigits: 0 });
  if (size >= 1) return number(value, { maximumFractionDigits: size >= 100 ? 1 : 2 });
  return number(value, { maximumSignificantDigits: 2, maximumFractionDigits: 6 });
}

/** The same for what somebody has: never more than that. */
export function balance(value: number): string {
  const places = value >= 1000 ? 1 : value >= 100 ? 10 : value >= 1 ? 100 : 10_000;
  return credits(Math.floor(value * places + 1e-6) / places);
}
