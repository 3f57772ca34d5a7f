// KaTeX, loaded when the first formula is shown. It is given text and builds
// nodes itself; with `trust` off its commands can neither link nor load.

import { unhurried } from '../lib/frame';

export async function renderFormula(element: HTMLElement): Promise<void> {
  const tex = element.dataset.tex ?? '';
  const display = element.dataset.display === 'true';
  const box = document.createElement('span');
  try {
    const [{ default: katex }] = await Promise.all([import('katex'), import('katex/dist/katex.min.css')]);
    // The text comes first.
    await unhurried(() => {
      if (!element.isConnected) return;
      katex.render(tex, box, {
        displayMode: display,
        throwOnError: true,
        trust: false,
        strict: 'ignore',
        maxSize: 50,
        maxExpand: 500,
      });
      element.replaceChildren(...box.childNodes);
    });
  } catch {
    // Not a formula after all, one that is not finished, or no network: the text stays.
  }
}
