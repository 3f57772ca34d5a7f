import './styles/fonts.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/prose.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { setLanguage, wanted } from './lib/i18n.svelte';
import { startRouter } from './lib/router.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('no place for the page');
await setLanguage(wanted());
startRouter();
mount(App, { target });
