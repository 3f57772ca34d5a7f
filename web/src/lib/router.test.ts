import { expect, it } from 'vitest';
import { href, parse, safeNext, type Route } from './router.svelte';

const id = '0190f3a0-0000-7000-8000-000000000000';

it('reads addresses, and writes them so that they are read back', () => {
  const routes: [string, string, Route][] = [
    ['/app', '', { name: 'new' }],
    ['/app/', '', { name: 'new' }],
    [`/app/c/${id}`, '', { name: 'chat', id }],
    [`/app/c/${id}`, `?message=${id}`, { name: 'chat', id, message: id }],
    ['/app', `?assistant=${id}`, { name: 'new', assistant: id }],
    ['/app/usage', '', { name: 'usage' }],
    ['/app/prompts', '', { name: 'prompts' }],
    ['/app/admin/users', '', { name: 'admin', section: 'users' }],
    [`/app/admin/users/${id}`, '', { name: 'admin', section: 'users', id }],
    ['/app/admin/health', '', { name: 'admin', section: 'health' }],
    ['/app/shared/a%2Fb', '', { name: 'shared', token: 'a/b' }],
    ['/app/sign-in', '', { name: 'sign-in', next: '/app' }],
    ['/app/sign-up', `?next=%2Fapp%2Fc%2F${id}`, { name: 'sign-up', next: `/app/c/${id}` }],
  ];
  for (const [path, query, route] of routes) {
    expect(parse(path, query)).toEqual(route);
    const [back = '', search = ''] = href(route).split('?');
    expect(parse(back, search)).toEqual(route);
  }
  expect(parse(`/app/c/${id}`, '?message=x')).toEqual({ name: 'chat', id });
  for (const path of ['/app/c/x', '/app/c', `/app/c/${id}/more`, '/app/shared/%E0', '/app/nothing']) {
    expect(parse(path)).toEqual({ name: 'missing' });
  }
  for (const path of ['/app/usage/x', '/app/admin/x', '/app/admin/users/x', `/app/admin/models/${id}`]) {
    expect(parse(path)).toEqual({ name: 'missing' });
  }
  expect(parse('/app/admin')).toEqual({ name: 'admin', section: 'users' });
  expect(parse('/app', '?assistant=x')).toEqual({ name: 'new' });
});

it('sends nobody elsewhere after signing in', () => {
  for (const bad of [
    null,
    '',
    'https://evil.example',
    '//evil.example',
    '/\\evil',
    '/app//evil.example',
    '/app/\\evil',
    '/appx',
    'javascript:alert(1)',
    '/auth/logout',
  ]) {
    expect(safeNext(bad)).toBe('/app');
  }
  expect(safeNext(`/app/c/${id}`)).toBe(`/app/c/${id}`);
});
