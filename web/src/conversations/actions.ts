// What can be done with a conversation from wherever it is shown.
import { api, data, type Conversation } from '../api/client';
import { asApiError } from '../api/error';
import { t } from '../lib/i18n.svelte';
import { currentRoute, go } from '../lib/router.svelte';
import { toast } from '../lib/toasts.svelte';
import { explain } from '../lib/problems';
import { archive, conversations, refreshLists } from './list.svelte';

type Patch = {
  title?: string;
  pinned?: boolean;
  archived?: boolean;
  model_id?: string;
  system_prompt?: string | null;
};

/** Changes a conversation; tells of a failure by itself and answers null then. */
export async function patch(id: string, body: Patch): Promise<Conversation | null> {
  const { archived, ...rest } = body;
  for (const list of [conversations, archive]) {
    list.change(id, (conversation) => ({ ...conversation, ...rest }));
    if (archived !== undefined && archived !== list.archived) list.remove(id);
  }
  try {
    return await data(api.PATCH('/sessions/{id}', { params: { path: { id } }, body }));
  } catch (error) {
    toast(explain(asApiError(error)), { tone: 'error' });
    return null;
  } finally {
    refreshLists();
  }
}

export async function setArchived(conversation: Conversation, archived: boolean): Promise<void> {
  if (!(await patch(conversation.id, { archived }))) return;
  toast(t(archived ? 'conversation.archived' : 'conversation.unarchived'), {
    action: { label: t('common.undo'), run: () => void patch(conversation.id, { archived: !archived }) },
  });
}

export async function remove(conversation: Conversation): Promise<void> {
  const { id } = conversation;
  const route = currentRoute();
  const here = route.name === 'chat' && route.id === id;
  conversations.remove(id);
  archive.remove(id);
  if (here) go({ name: 'new' });
  try {
    await data(api.DELETE('/sessions/{id}', { params: { path: { id } } }));
    toast(t('conversation.deleted'), {
      action: { label: t('common.undo'), run: () => void restore(id, here) },
    });
  } catch (error) {
    toast(explain(asApiError(error)), { tone: 'error' });
  }
  refreshLists();
}

async function restore(id: string, back: boolean): Promise<void> {
  try {
    await data(api.POST('/sessions/{id}/restore', { params: { path: { id } } }));
    if (back) go({ name: 'chat', id });
  } catch (error) {
    toast(explain(asApiError(error)), { tone: 'error' });
  }
  refreshLists();
}

/** The browser downloads it; the cookie goes along. */
export async function download(id: string, format: 'md' | 'json'): Promise<void> {
  try {
    // Renews the session if need be: a link cannot.
    await data(api.GET('/auth/me'));
  } catch (error) {
    toast(explain(asApiError(error)), { tone: 'error' });
    return;
  }
  const link = document.createElement('a');
  link.href = `/sessions/${id}/export?format=${format}`;
  link.download = '';
  link.click();
}
