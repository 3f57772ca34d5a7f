import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { compress } from './build/compress.ts';
import { fonts } from './build/fonts.ts';
import { head } from './build/head.ts';
import { icons } from './build/icons.ts';

const server = process.env.TERTULIA_SERVER ?? 'http://127.0.0.1:8080';
const page = new URL('./src', import.meta.url).pathname;

// Everything that is not the page goes to the server.
const proxy = { '^/(?!app(/|$|\\?)).+': { target: server, ws: true } };

// What the server sends with the page; kept here so that a preview shows violations.
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data: blob: https:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

export default defineConfig(({ mode }) => ({
  base: '/app/',
  plugins: [icons(), svelte(), fonts(), head(), compress(110 * 1024)],
  resolve: {
    alias: { $: page },
    conditions: mode === 'test' ? ['browser'] : undefined,
  },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    sourcemap: false,
    rolldownOptions: {
      output: {
        // Few files: over HTTP/1.1 each of them costs a turn of six.
        codeSplitting: {
          groups: [
            { name: 'page', tags: ['$initial'], priority: 3 },
            { name: 'chat', test: /src\/chat\/(ChatView\.svelte|handover\.ts)$/, priority: 2 },
            {
              name: 'panels',
              test: /src\/(ui\/(MenuPanel|Dialog)|chat\/(CostPanel|ModelPanel))\.svelte$/,
              priority: 1,
            },
          ],
        },
      },
    },
  },
  server: { proxy },
  preview: { proxy, headers: { 'Content-Security-Policy': policy } },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.ts', 'build/*.test.ts'],
    setupFiles: ['tests/setup.ts'],
    restoreMocks: true,
  },
}));
