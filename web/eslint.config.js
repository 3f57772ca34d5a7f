import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist/', 'src/api/schema.d.ts'] },
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
  },
  {
    rules: {
      'no-console': 'error',
      'no-eval': 'error',
      // The one place that turns text into HTML is markdown/sanitize.ts.
      'svelte/no-at-html-tags': 'error',
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'markdown/sanitize.ts is the only place that makes HTML.' },
        { property: 'outerHTML', message: 'markdown/sanitize.ts is the only place that makes HTML.' },
        {
          property: 'insertAdjacentHTML',
          message: 'markdown/sanitize.ts is the only place that makes HTML.',
        },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'svelte/no-navigation-without-resolve': 'off',
      'svelte/prefer-svelte-reactivity': 'off',
    },
  },
  // It fills one element by itself, so that text can be appended to it.
  { files: ['src/markdown/CodeBlock.svelte'], rules: { 'svelte/no-dom-manipulating': 'off' } },
  {
    files: ['build/**', 'scripts/**', 'e2e/**', '**/*.test.ts'],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off' },
  },
);
