//! Everything that is an account's, as one JSON document that is written while it
//! is read: nothing of it is held in memory as a whole.

use std::collections::HashSet;

use accounting::StatsQuery;
use bytes::Bytes;
use conversations::TakenOut;
use futures_util::{Stream, stream};
use kernel::{Context, ConversationId, Error, MessageId, Page, Paged, Result, TransferId};
use security::Security;
use serde::Serialize;
use serde_json::json;

use crate::Chat;

/// Conversations read at once, and messages; fewer when they are long.
const CONVERSATIONS: u32 = 20;
const MESSAGES: u32 = 200;
/// Assistants and saved prompts read at once; one has up to 32 KiB.
const KEPT: u32 = 8;
/// Entries of the ledger read at once.
const ENTRIES: u32 = 100;

/// What comes next.
enum Next {
    Account,
    Conversations {
        after: Option<ConversationId>,
        first: bool,
    },
    Messages {
        left: std::vec::IntoIter<TakenOut>,
        of: ConversationId,
        after: Option<(i64, MessageId)>,
        /// There are more conversations after those that are left.
        more: bool,
    },
    Assistants(u32),
    Prompts(u32),
    Ledger(u32, HashSet<TransferId>),
    Usage,
    Nothing,
}

struct Export {
    chat: Chat,
    security: Security,
    ctx: Context,
    next: Next,
}

impl Chat {
    /// The caller's own data in this tenant (`GET /auth/me/export`): account and memberships,
    /// conversations with every message, assistants, saved prompts, ledger and usage.
    ///
    /// # Errors
    /// `not_authenticated`; `database_unavailable`. What fails later ends the stream with the error,
    /// like the end of the caller's session: what breaks off is no JSON.
    pub async fn export_account(
        &self,
        ctx: &Context,
        security: &Security,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let mut export = Export {
            chat: self.clone(),
            security: security.clone(),
            ctx: ctx.clone(),
            next: Next::Account,
        };
        // The first piece is read before anything is answered, so that most failures are an answer.
        let first = export.piece().await?;
        let rest = stream::try_unfold(export, |mut export| async {
            Ok(export.piece().await?.map(|piece| (piece, export)))
        });
        Ok(futures_util::StreamExt::chain(
            stream::iter(first.map(Ok)),
            rest,
        ))
    }
}

impl Export {
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        self.security.recheck(&self.ctx).await?;
        let mut out = Vec::new();
        self.next = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Account => self.account(&mut out).await?,
            Next::Conversations { after, first } => {
                self.conversations(&mut out, after, first).await?
            }
            Next::Messages {
                left,
                of,
                after,
                more,
            } => self.messages(&mut out, left, (of, after, more)).await?,
            Next::Assistants(page) => {
                let all = self
                    .chat
                    .0
                    .conversations
                    .assistants(&self.ctx, of(page, KEPT))
                    .await?;
                match list(&mut out, &all)? {
                    true => Next::Assistants(page + 1),
                    false => begin(&mut out, "prompts", Next::Prompts(1)),
                }
            }
            Next::Prompts(page) => {
                let all = self
                    .chat
                    .0
                    .conversations
                    .saved_prompts(&self.ctx, of(page, KEPT))
                    .await?;
                match list(&mut out, &all)? {
                    true => Next::Prompts(page + 1),
                    false => begin(&mut out, "ledger", Next::Ledger(1, HashSet::new())),
                }
            }
            Next::Ledger(page, seen) => self.ledger(&mut out, page, seen).await?,
            Next::Usage => {
                let stats = self
                    .chat
                    .0
                    .accounting
                    .stats(&self.ctx, StatsQuery::default());
                out.extend_from_slice(b"],\n\"usage\":");
                write(&mut out, &stats.await?.totals)?;
                out.extend_from_slice(b"}\n");
                Next::Nothing
            }
            Next::Nothing => return Ok(None),
        };
        Ok(Some(out.into()))
    }

    async fn account(&self, out: &mut Vec<u8>) -> Result<Next> {
        let mut account = json!(self.security.me(&self.ctx).await?);
        let memberships = account["memberships"].take();
        if let Some(account) = account.as_object_mut() {
            account.remove("memberships");
        }
        out.extend_from_slice(b"{\"account\":");
        write(out, &account)?;
        out.extend_from_slice(b",\n\"memberships\":");
        write(out, &memberships)?;
        out.extend_from_slice(b",\n\"conversations\":[");
        let (after, first) = (None, true);
        Ok(Next::Conversations { after, first })
    }

    async fn conversations(
        &self,
        out: &mut Vec<u8>,
        after: Option<ConversationId>,
        first: bool,
    ) -> Result<Next> {
        let conversations = &self.chat.0.conversations;
        let (some, more) = conversations
            .take_out(&self.ctx, after, CONVERSATIONS)
            .await?;
        let mut left = some.into_iter();
        match left.next() {
            Some(conversation) => {
                let of = conversation.conversation.id;
                open(out, &conversation, first)?;
                let after = None;
                Ok(Next::Messages {
                    left,
                    of,
                    after,
                    more,
                })
            }
            None => Ok(begin(out, "assistants", Next::Assistants(1))),
        }
    }

    async fn messages(
        &self,
        out: &mut Vec<u8>,
        mut left: std::vec::IntoIter<TakenOut>,
        (of, after, more): (ConversationId, Option<(i64, MessageId)>, bool),
    ) -> Result<Next> {
        let conversations = &self.chat.0.conversations;
        let some = conversations.take_out_messages(&self.ctx, of, after, MESSAGES);
        let (some, unfinished) = some.await?;
        for (n, message) in some.iter().enumerate() {
            separate(out, after.is_none() && n == 0);
            write(out, message)?;
        }
        if unfinished {
            let after = some.last().map(|message| (message.depth, message.id));
            return Ok(Next::Messages {
                left,
                of,
                after,
                more,
            });
        }
        out.extend_from_slice(b"]}");
        let Some(next) = left.next() else {
            return Ok(match more {
                true => Next::Conversations {
                    after: Some(of),
                    first: false,
                },
                false => begin(out, "assistants", Next::Assistants(1)),
            });
        };
        open(out, &next, false)?;
        let (of, after) = (next.conversation.id, None);
        Ok(Next::Messages {
            left,
            of,
            after,
            more,
        })
    }

    /// Entries that come in meanwhile move the others to later pages, where they are seen again.
    async fn ledger(
        &self,
        out: &mut Vec<u8>,
        page: u32,
        mut seen: HashSet<TransferId>,
    ) -> Result<Next> {
        let first = seen.is_empty();
        let entries = self
            .chat
            .0
            .accounting
            .ledger(&self.ctx, None, of(page, ENTRIES))
            .await?;
        let last = entries.data.len() < ENTRIES as usize;
        let fresh: Vec<_> = entries
            .data
            .into_iter()
            .filter(|entry| !seen.contains(&entry.id))
            .collect();
        for (n, entry) in fresh.iter().enumerate() {
            separate(out, first && n == 0);
            write(out, entry)?;
        }
        if last {
            return Ok(Next::Usage);
        }
        seen.extend(fresh.iter().map(|entry| entry.id));
        Ok(Next::Ledger(page + 1, seen))
    }
}

fn of(page: u32, per_page: u32) -> Page {
    Page::new(Some(page), Some(per_page))
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(out, value).map_err(Error::internal)
}

fn separate(out: &mut Vec<u8>, first: bool) {
    out.extend_from_slice(if first { b"\n" } else { b",\n" });
}

/// The end of one list and the beginning of the next.
fn begin(out: &mut Vec<u8>, name: &str, next: Next) -> Next {
    out.extend_from_slice(format!("],\n\"{name}\":[").as_bytes());
    next
}

/// A conversation up to its messages.
fn open(out: &mut Vec<u8>, conversation: &TakenOut, first: bool) -> Result<()> {
    separate(out, first);
    write(out, conversation)?;
    // Into the object, before its end.
    out.pop();
    out.extend_from_slice(b",\"messages\":[");
    Ok(())
}

/// One page of a list; answers whether there are more.
fn list<T: Serialize>(out: &mut Vec<u8>, all: &Paged<T>) -> Result<bool> {
    for (n, row) in all.data.iter().enumerate() {
        separate(out, all.meta.page == 1 && n == 0);
        write(out, row)?;
    }
    Ok(i64::from(all.meta.page) < all.meta.pages)
}
