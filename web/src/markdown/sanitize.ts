// The only place where text becomes HTML. What a model wrote is not trusted:
// only the tags and attributes listed here pass, links open elsewhere, images of
// other hosts wait for a click (they would tell that host that this is read).
import createDOMPurify from 'dompurify';

const TAGS = [
  ...['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'pre', 'code', 'div', 'span'],
  ...['ul', 'ol', 'li', 'dl', 'dt', 'dd', 'input', 'details', 'summary'],
  ...['table', 'thead', 'tbody', 'tfoot', 'tr', 'th', 'td', 'caption'],
  ...['a', 'img', 'em', 'strong', 'b', 'i', 'u', 's', 'del', 'ins', 'mark', 'small', 'sub', 'sup'],
  ...['kbd', 'samp', 'var', 'abbr', 'cite', 'q', 'time', 'bdi', 'bdo', 'ruby', 'rt', 'rp', 'wbr'],
];
const ATTRIBUTES = [
  ...['href', 'src', 'alt', 'title', 'lang', 'dir', 'start', 'reversed', 'value', 'colspan', 'rowspan'],
  ...['align', 'scope', 'open', 'type', 'checked', 'disabled', 'class', 'data-tex', 'data-display'],
];
const LINK = /^(?:https?:|mailto:|tel:|[/?#.]|[^:]*$)/i;
const IMAGE = /^data:image\/(?:png|jpe?g|gif|webp|avif|svg\+xml)[;,]/i;
/** Classes are ours alone, or an answer could dress up as a part of the page. */
const CLASS = /^(?:language-[\w+#.-]{1,40}|md-math)$/;

const purify = createDOMPurify(window);

purify.addHook('uponSanitizeAttribute', (node, attribute) => {
  const { attrName, attrValue } = attribute;
  if (attrName === 'class') {
    attribute.attrValue = attrValue
      .split(/\s+/)
      .filter((name) => CLASS.test(name))
      .join(' ');
    if (attribute.attrValue === '') attribute.keepAttr = false;
  } else if (attrName === 'href') {
    if (node.nodeName !== 'A' || !LINK.test(attrValue.trim())) attribute.keepAttr = false;
  } else if (attrName === 'src') {
    if (node.nodeName !== 'IMG') attribute.keepAttr = false;
  }
});

/** One object, so that DOMPurify reads it once. */
const RULES = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ATTRIBUTES,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOW_UNKNOWN_PROTOCOLS: false,
  KEEP_CONTENT: true,
  FORBID_CONTENTS: ['script', 'style', 'template', 'noscript', 'iframe', 'object', 'svg', 'math'],
  RETURN_DOM_FRAGMENT: true as const,
};

/** What may be shown of a piece of HTML, as nodes that are in no document yet. */
export function sanitize(html: string): DocumentFragment {
  const fragment = purify.sanitize(html, RULES);
  fragment.querySelectorAll('a').forEach(outward);
  fragment.querySelectorAll('input').forEach(box);
  fragment.querySelectorAll('img').forEach(image);
  fragment.querySelectorAll('table').forEach(table);
  return fragment;
}

function outward(link: HTMLAnchorElement): void {
  if (!link.hasAttribute('href')) return;
  link.target = '_blank';
  link.rel = 'noopener noreferrer nofollow';
}

/** Task lists have boxes, named by what is to be done, and nothing else has inputs. */
function box(input: HTMLInputElement): void {
  if (input.getAttribute('type') !== 'checkbox') return input.remove();
  for (const name of ['value', 'src', 'alt', 'class', 'title']) input.removeAttribute(name);
  input.disabled = true;
  const item = input.closest('li');
  const task = item ?? input.parentElement;
  if (item) item.className = 'md-task';
  input.setAttribute('aria-label', task?.textContent.trim().split('\n')[0]?.slice(0, 120) || '☐');
}

function table(element: HTMLTableElement): void {
  const frame = element.ownerDocument.createElement('div');
  frame.className = 'md-table';
  frame.tabIndex = 0;
  element.replaceWith(frame);
  frame.append(element);
}

function image(element: HTMLImageElement): void {
  const source = element.getAttribute('src')?.trim() ?? '';
  const url = IMAGE.test(source) ? null : locate(source);
  if (url !== null && url.protocol !== 'https:' && url.protocol !== 'http:') return element.remove();
  if (source === '') return element.remove();
  // Asked for with the reader's cookie, hundreds of them would use up the reader's limits.
  if (url?.origin === location.origin) {
    return element.replaceWith(element.getAttribute('alt') ?? '');
  }
  if (url === null) {
    element.loading = 'lazy';
    element.decoding = 'async';
    return;
  }
  if (url.protocol === 'http:') {
    // The page's policy shows none that travel in the open; whoever wants to see it follows the link.
    const link = element.ownerDocument.createElement('a');
    link.href = url.href;
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
    link.textContent = element.getAttribute('alt') || url.host;
    return element.replaceWith(link);
  }
  const held = element.ownerDocument.createElement('span');
  held.className = 'md-image';
  held.dataset.src = url.href;
  held.dataset.host = url.host;
  held.dataset.alt = element.getAttribute('alt') ?? '';
  held.textContent = held.dataset.alt;
  element.replaceWith(held);
}

function locate(source: string): URL {
  try {
    return new URL(source, location.href);
  } catch {
    return new URL('invalid:');
  }
}

/** The image that a person asked for. */
export function heldImage(held: HTMLElement): HTMLImageElement {
  const shown = held.ownerDocument.createElement('img');
  shown.alt = held.dataset.alt ?? '';
  shown.referrerPolicy = 'no-referrer';
  shown.decoding = 'async';
  const url = locate(held.dataset.src ?? '');
  if (url.protocol === 'https:') shown.src = url.href;
  return shown;
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#x27': "'" };

/**
 * Nodes from what highlight.js makes: spans with classes, and text. Built node
 * by node, so that anything else in it is text as well.
 */
export function highlighted(html: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  let parent: ParentNode & Node = fragment;
  for (const piece of html.split(/(<span class="[\w -]*">|<\/span>)/)) {
    if (piece === '') continue;
    const open = /^<span class="([\w -]*)">$/.exec(piece);
    if (open) {
      const span = document.createElement('span');
      span.className = open[1] ?? '';
      parent.append(span);
      parent = span;
    } else if (piece === '</span>') {
      parent = parent.parentNode ?? fragment;
    } else {
      parent.append(piece.replace(/&(amp|lt|gt|quot|#x27);/g, (_, name: string) => ENTITIES[name] ?? ''));
    }
  }
  return fragment;
}
