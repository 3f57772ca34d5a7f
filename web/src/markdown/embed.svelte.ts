// A code block within other HTML (a list, a quotation), as a component of its own.
import { mount, unmount } from 'svelte';
import CodeBlock from './CodeBlock.svelte';

export interface Embedded {
  destroy: () => void;
}

export function embed(target: Element, code: string, language: string): Embedded {
  const component = mount(CodeBlock, { target, props: { code, language } });
  return { destroy: () => void unmount(component) };
}
