// The icons as plain markup: the package's own component builds each of them piece
// by piece when it is shown, which is much work for a page full of buttons.
import type { Plugin } from 'vite';

const ICON = /@lucide[\\/]svelte[\\/]dist[\\/]icons[\\/][\w-]+\.svelte$/;
const NODES = /"node":\s*(\[\[[\s\S]*?\]\])\s*(?:,\s*"\w+"|\})/;

type Node = [tag: string, attributes: Record<string, string | number>];

/** A component that takes `size`, `fill` and `class`, and is no more than its drawing. */
export function drawing(source: string): string {
  const found = NODES.exec(source)?.[1];
  if (!found) throw new Error('the icon package has changed: build/icons.ts does not find the drawing');
  const shapes = (JSON.parse(found) as Node[]).map(([tag, attributes]) => {
    const written = Object.entries(attributes).map(([name, value]) => `${name}="${value}"`);
    return `<${tag} ${written.join(' ')} />`;
  });
  return `<script>let { size = 24, fill = 'none', class: name } = $props();</script>
<svg xmlns="http://www.w3.org/2000/svg" width={size} height={size} viewBox="0 0 24 24" {fill} stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" class={name}>${shapes.join('')}</svg>
`;
}

export function icons(): Plugin {
  return {
    name: 'tertulia:icons',
    enforce: 'pre',
    transform(code, id) {
      return ICON.test(id) ? { code: drawing(code), map: null } : null;
    },
  };
}
