// Makes an element's content like a fragment while keeping every node that is
// the same: selections, loaded images and finished formulas stay.

/** Elements that were filled in later, and what they were made from. */
const sources = new WeakMap<Node, string>();

export function sourceOf(element: Element): string {
  return `${element.className}|${element.getAttribute('data-tex') ?? element.getAttribute('data-src') ?? element.textContent}`;
}

/** Says that this element now stands for what it was: it is kept while the new one is the same. */
export function filled(element: Element, source: string): void {
  sources.set(element, source);
}

export function morph(parent: Node, wanted: Node): void {
  let old: ChildNode | null = parent.firstChild;
  let next: ChildNode | null = wanted.firstChild;
  while (next) {
    const following: ChildNode | null = next.nextSibling;
    if (old && alike(old, next)) {
      adopt(old, next);
      old = old.nextSibling;
    } else if (old) {
      const after: ChildNode | null = old.nextSibling;
      parent.replaceChild(next, old);
      old = after;
    } else {
      parent.appendChild(next);
    }
    next = following;
  }
  while (old) {
    const after: ChildNode | null = old.nextSibling;
    old.remove();
    old = after;
  }
}

function alike(old: Node, next: Node): boolean {
  const source = sources.get(old);
  if (source !== undefined) return next instanceof Element && sourceOf(next) === source;
  return old.nodeName === next.nodeName;
}

function adopt(old: Node, next: Node): void {
  if (sources.has(old)) return;
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  if (!(old instanceof Element) || !(next instanceof Element)) return;
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...next.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morph(old, next);
}
