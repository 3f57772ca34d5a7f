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

/// Conversations read at once.
const CONVERSATIONS: u32 = 20;
/// Messages read at once.
const MESSAGES: u32 = 200;

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
        full: bool,
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
    /// `not_authenticated`; `database_unavailable`. What fails later ends the stream with the error.
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
                full,
            } => self.messages(&mut out, left, (of, after, full)).await?,
            Next::Assistants(page) => {
                let all = self
                    .chat
                    .0
                    .conversations
                    .assistants(&self.ctx, of(page))
                    .await?;
                let more = list(&mut out, &all, page)?;
                match more {
                    true => Next::Assistants(page + 1),
                    false => begin(&mut out, "prompts", Next::Prompts(1)),
                }
            }
            Next::Prompts(page) => {
                let all = self
                    .chat
                    .0
                    .conversations
                    .saved_prompts(&self.ctx, of(page))
                    .await?;
                match list(&mut out, &all, page)? {
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
        let some = conversations
            .take_out(&self.ctx, after, CONVERSATIONS)
            .await?;
        let full = some.len() == CONVERSATIONS as usize;
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
                    full,
                })
            }
            None => Ok(begin(out, "assistants", Next::Assistants(1))),
        }
    }

    async fn messages(
        &self,
        out: &mut Vec<u8>,
        mut left: std::vec::IntoIter<TakenOut>,
        (of, after, full): (ConversationId, Option<(i64, MessageId)>, bool),
    ) -> Result<Next> {
        let conversations = &self.chat.0.conversations;
        let some = conversations.take_out_messages(&self.ctx, of, after, MESSAGES);
        let some = some.await?;
        for (n, message) in some.iter().enumerate() {
            separate(out, after.is_none() && n == 0);
            write(out, message)?;
        }
        if some.len() == MESSAGES as usize {
            let after = some.last().map(|message| (message.depth, message.id));
            return Ok(Next::Messages {
                left,
                of,
                after,
                full,
            });
        }
        out.extend_from_slice(b"]}");
        let Some(next) = left.next() else {
            return Ok(match full {
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
            full,
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
            .ledger(&self.ctx, None, of(page))
            .await?;
        let last = entries.data.len() < PER_PAGE as usize;
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

const PER_PAGE: u32 = 100;

fn of(page: u32) -> Page {
    Page::new(Some(page), Some(PER_PAGE))
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
fn list<T: Serialize>(out: &mut Vec<u8>, all: &Paged<T>, page: u32) -> Result<bool> {
    for (n, row) in all.data.iter().enumerate() {
        separate(out, page == 1 && n == 0);
        write(out, row)?;
    }
    Ok(all.data.len() == PER_PAGE as usize)
}
