// What a device is called in the list, from what its browser says of itself. Pure.

export interface DeviceName {
  /** Of the browser or program; null when nothing is known. */
  program: string | null;
  system: string | null;
  handheld: boolean;
}

// The order matters: Edge and Opera say that they are Chrome, Chrome that it is Safari.
const PROGRAMS: [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\b(OPR|Opera)\//, 'Opera'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Headless)?Chrome\/|\bCriOS\//, 'Chrome'],
  [/\bVersion\/[\d.]+.*\bSafari\//, 'Safari'],
];

const SYSTEMS: [RegExp, string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bLinux\b|\bX11\b/, 'Linux'],
];

export function deviceName(agent: string | null | undefined): DeviceName {
  const text = agent?.trim() ?? '';
  const program = PROGRAMS.find(([known]) => known.test(text))?.[1];
  const system = SYSTEMS.find(([known]) => known.test(text))?.[1] ?? null;
  return {
    // A program names itself first: curl/8.5.0.
    program: program ?? (/^[\w.-]+/.exec(text)?.[0] || null),
    system,
    handheld: /\b(Mobile|iPhone|iPad|Android)\b/.test(text),
  };
}
