// What administrators do to accounts, and how roles are called.
import { api, data, type User } from '../api/client';
import type { ApiError } from '../api/error';
import { t, type Key } from '../lib/i18n.svelte';
import { explain } from '../lib/problems';

/** Those that can be given, the least powerful first. */
export const ROLES = ['user', 'supervisor', 'admin', 'operator'] as const;

const NAMES: Record<string, Key> = {
  user: 'role.user',
  supervisor: 'role.supervisor',
  admin: 'role.admin',
  operator: 'role.operator',
  guest: 'role.guest',
};
const TELL: Record<string, Key> = {
  user: 'role.user.text',
  supervisor: 'role.supervisor.text',
  admin: 'role.admin.text',
  operator: 'role.operator.text',
};

export function roleName(role: string): string {
  const key = NAMES[role];
  return key ? t(key) : role;
}

export function roleText(role: string): string {
  const key = TELL[role];
  return key ? t(key) : '';
}

/** Roles beyond the one that everybody has. */
export function special(roles: readonly string[]): string[] {
  return ROLES.filter((role) => role !== 'user' && roles.includes(role)).toReversed();
}

export function changeMember(
  id: string,
  body: { roles?: string[]; status?: 'active' | 'suspended' },
): Promise<User> {
  return data(api.PATCH('/users/{id}', { params: { path: { id } }, body }));
}

/** Some refusals have other reasons here than elsewhere. */
export function refusal(error: ApiError): string {
  return error.code === 'conflict' ? t('admin.user.conflict') : explain(error);
}
