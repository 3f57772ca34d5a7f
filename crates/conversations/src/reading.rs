//! A page of a list, read while it is sent. One text can be as large as thousands of others: long
//! ones are read when their turn comes, so that however slowly a page is taken, only a piece of it
//! is held.

use std::collections::VecDeque;

use kernel::{BoxFuture, Context, Page, PageMeta, Paged, Result};
use store::params;

use crate::{Conversation, Conversations, MessageView};

/// So many bytes of long texts end a piece, one alone can be larger; all the short texts of a page
/// have no more together.
const BYTES: usize = 128 * 1024;

/// Reads the long text of a row; nothing when the row has gone meanwhile.
type Fill<T> = fn(Conversations, Context, T) -> BoxFuture<'static, Result<Option<(T, usize)>>>;

/// The rows of one page, a piece at a time.
#[derive(Debug)]
pub struct Reading<T> {
    part: Conversations,
    ctx: Context,
    meta: PageMeta,
    /// Each with whether its text is still to be read.
    rows: VecDeque<(T, bool)>,
    fill: Fill<T>,
}

/// The longest text that is read together with all others of its page.
pub(crate) fn short(page: Page) -> i64 {
    i64::try_from(BYTES).unwrap_or(i64::MAX) / page.limit()
}

impl<T> Reading<T> {
    pub(crate) fn new(
        (part, ctx): (&Conversations, &Context),
        page: Paged<(T, bool)>,
        fill: Fill<T>,
    ) -> Self {
        Self {
            part: part.clone(),
            ctx: ctx.clone(),
            meta: page.meta,
            rows: page.data.into(),
            fill,
        }
    }

    /// Where the page stands.
    #[must_use]
    pub fn meta(&self) -> PageMeta {
        self.meta
    }

    /// Whether every row has been read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rows.is_empty()
    }

    /// The next rows. What is deleted meanwhile is left out of a list of conversations.
    ///
    /// # Errors
    /// `not_found` when the conversation of these messages is deleted meanwhile;
    /// `database_unavailable`.
    pub async fn next(&mut self) -> Result<Vec<T>> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES {
            let Some((row, long)) = self.rows.pop_front() else {
                break;
            };
            if !long {
                piece.push(row);
                continue;
            }
            let filled = (self.fill)(self.part.clone(), self.ctx.clone(), row).await?;
            if let Some((row, length)) = filled {
                piece.push(row);
                bytes += length;
            }
        }
        Ok(piece)
    }
}

/// The system prompt of a conversation in a list.
pub(crate) fn system_prompt(
    part: Conversations,
    ctx: Context,
    row: Conversation,
) -> BoxFuture<'static, Result<Option<(Conversation, usize)>>> {
    Box::pin(async move {
        let read = part.store.read(&ctx, row.id, |reads, id| {
            Box::pin(async move {
                let ctx = reads.context()?;
                let row = reads
                    .query_opt(
                        "SELECT system_prompt FROM conversations WHERE tenant_id = $1 AND id = $2
                           AND account_id = $3 AND deleted_at IS NULL",
                        params![ctx.tenant(), *id, ctx.account()?],
                    )
                    .await?;
                row.map(|mut row| row.get::<Option<String>>(0)).transpose()
            })
        });
        Ok(read.await?.map(|text| {
            let length = text.as_ref().map_or(0, String::len);
            let system_prompt = text;
            let row = Conversation {
                system_prompt,
                ..row
            };
            (row, length)
        }))
    })
}

/// The text of a message whose conversation the caller has opened.
pub(crate) fn content(
    part: Conversations,
    ctx: Context,
    mut row: MessageView,
) -> BoxFuture<'static, Result<Option<(MessageView, usize)>>> {
    Box::pin(async move {
        let of = (row.message.conversation_id, row.message.id);
        let read = part.store.read(&ctx, of, |reads, (conversation, id)| {
            Box::pin(async move {
                let tenant = reads.tenant()?;
                crate::still(reads, *conversation).await?;
                let mut row = reads
                    .query_one(
                        "SELECT content FROM messages
                         WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3",
                        params![tenant, *conversation, *id],
                    )
                    .await?;
                row.get::<String>(0)
            })
        });
        row.message.content = read.await?;
        let length = row.message.content.len();
        Ok(Some((row, length)))
    })
}
