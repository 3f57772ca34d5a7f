import './styles/fonts.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/bones.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { turn } from './lib/frame';
import { setLanguage, wanted } from './lib/i18n.svelte';
import { currentRoute, startRouter } from './lib/router.svelte';
import { chatView } from './shell/views';

async function start(target: HTMLElement): Promise<void> {
  // Both are on their way already (src/first.js). A view that does not come says so itself.
  await Promise.all([
    setLanguage(wanted()),
    currentRoute().name === 'chat' ? chatView().catch(() => {}) : undefined,
  ]);
  // Reading the code was a task of its own.
  await turn();
  startRouter();
  target.replaceChildren();
  mount(App, { target });
}

const target = document.getElementById('app');
if (!target) throw new Error('no place for the page');
// Not awaited: views import this module's chunk.
void start(target);
