// The menu of a conversation, wherever it is opened, and the dialogs behind it.
import Archive from '@lucide/svelte/icons/archive';
import ArchiveRestore from '@lucide/svelte/icons/archive-restore';
import Braces from '@lucide/svelte/icons/braces';
import FileText from '@lucide/svelte/icons/file-text';
import Pencil from '@lucide/svelte/icons/pencil';
import Pin from '@lucide/svelte/icons/pin';
import PinOff from '@lucide/svelte/icons/pin-off';
import Share2 from '@lucide/svelte/icons/share-2';
import Trash2 from '@lucide/svelte/icons/trash-2';
import type { Component } from 'svelte';
import type { Conversation } from '../api/client';
import { t } from '../lib/i18n.svelte';
import type { MenuEntry } from '../ui/Menu.svelte';
import { download, patch, remove, setArchived } from './actions';

export type DialogKind = 'rename' | 'share' | 'system';

interface Open {
  kind: DialogKind;
  conversation: Conversation;
  /** Told of the conversation as it is after a change. */
  changed: (conversation: Conversation) => void;
}

let open = $state.raw<Open | null>(null);

/** The dialog that is open; ConversationDialogs.svelte shows it. */
export function openedDialog(): Open | null {
  return open;
}

export function openDialog(
  kind: DialogKind,
  conversation: Conversation,
  changed: (conversation: Conversation) => void = () => {},
): void {
  open = { kind, conversation, changed };
}

export function closeDialog(): void {
  open = null;
}

/** `leaves`: told when it is about to leave the list it stands in. */
export function conversationMenu(
  conversation: Conversation,
  changed: (conversation: Conversation) => void = () => {},
  leaves: () => void = () => {},
): MenuEntry[] {
  const { id, pinned, archived } = conversation;
  const icon = (one: unknown): Component => one as Component;
  return [
    {
      label: t('conversation.rename'),
      icon: icon(Pencil),
      run: () => openDialog('rename', conversation, changed),
    },
    {
      label: t(pinned ? 'conversation.unpin' : 'conversation.pin'),
      icon: icon(pinned ? PinOff : Pin),
      run: () => void patch(id, { pinned: !pinned }).then((now) => now && changed(now)),
    },
    { label: t('share.title'), icon: icon(Share2), run: () => openDialog('share', conversation) },
    { label: t('conversation.markdown'), icon: icon(FileText), run: () => void download(id, 'md') },
    { label: t('conversation.json'), icon: icon(Braces), run: () => void download(id, 'json') },
    { kind: 'line' },
    {
      label: t(archived ? 'conversation.unarchive' : 'conversation.archive'),
      icon: icon(archived ? ArchiveRestore : Archive),
      run: () => {
        leaves();
        void setArchived(conversation, !archived);
      },
    },
    {
      label: t('conversation.delete'),
      icon: icon(Trash2),
      danger: true,
      run: () => {
        leaves();
        void remove(conversation);
      },
    },
  ];
}
