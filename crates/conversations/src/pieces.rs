//! Long lists, a piece at a time. A piece is bounded by bytes as well as by number:
//! one text can be as large as hundreds of others.

use kernel::{ConversationId, MessageId, Result};
use store::{Reads, Row, params};
use uuid::Uuid;

use crate::{Message, types};

/// Texts of this many bytes end a piece; one alone can be larger.
pub(crate) const BYTES: i64 = 256 * 1024;

/// Where a piece of messages ends: depth and id of the last one.
pub(crate) type Mark = (i64, MessageId);

/// Some messages of every branch, from the first prompt downward.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) messages: Vec<Message>,
    /// There are more after these.
    pub(crate) more: bool,
}

impl Piece {
    /// The messages after this one: at most so many, and at least one if there is one.
    pub(crate) async fn after(
        reads: &mut Reads,
        conversation: ConversationId,
        after: Option<Mark>,
        most: u32,
    ) -> Result<Self> {
        let tenant = reads.tenant()?;
        let (depth, id) = after.map_or((-1, Uuid::nil()), |(depth, id)| (depth, id.uuid()));
        // The length of a text is known without reading it.
        let rows = reads
            .query(
                "SELECT CAST(octet_length(content) AS bigint), depth, id FROM messages
                 WHERE tenant_id = $1 AND conversation_id = $2 AND (depth, id) > ($3, $4)
                 ORDER BY depth, id LIMIT $5",
                params![tenant, conversation, depth, id, i64::from(most) + 1],
            )
            .await?;
        let (Some(mut last), more) = last_within(rows, most)? else {
            return Ok(Self::default());
        };
        let (last_depth, last_id): Mark = (last.get(1)?, last.get(2)?);
        let sql = format!(
            "SELECT {} FROM messages m WHERE m.tenant_id = $1 AND m.conversation_id = $2
               AND (m.depth, m.id) > ($3, $4) AND (m.depth, m.id) <= ($5, $6)
             ORDER BY m.depth, m.id",
            types::MESSAGE_COLUMNS
        );
        let params = params![tenant, conversation, depth, id, last_depth, last_id];
        let rows = reads.query(&sql, params).await?;
        let messages = rows.into_iter().map(Message::from_row);
        Ok(Self {
            messages: messages.collect::<Result<_>>()?,
            more,
        })
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> Option<Mark> {
        self.messages
            .last()
            .map(|message| (message.depth, message.id))
    }
}

/// Of rows that begin with the bytes of a text: the last one of a piece of at most so many, and
/// whether any come after it.
pub(crate) fn last_within(rows: Vec<Row>, most: u32) -> Result<(Option<Row>, bool)> {
    let (mut last, mut bytes, mut taken) = (None, 0, 0);
    for mut row in rows {
        if taken == most || bytes >= BYTES {
            return Ok((last, true));
        }
        bytes += row.get::<i64>(0)?;
        taken += 1;
        last = Some(row);
    }
    Ok((last, false))
}
