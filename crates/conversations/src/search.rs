//! Full-text search over the titles and messages of one account, kept up to
//! date within each unit of work. FTS5 on SQLite, a GIN index on PostgreSQL.

use std::collections::HashMap;

use kernel::{AccountId, Context, ConversationId, MessageId, Page, Paged, Result};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use store::{Dialect, Reads, Rows, Uow, params};

use crate::{Conversation, Conversations, types, words, words::Wanted};

/// Characters of text around the first word that was found.
const SNIPPET: usize = 160;

/// Characters of a text in which its snippet is looked for; more are not indexed.
const READ: i64 = 256 * 1024;

/// A conversation in which something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHit {
    /// The conversation, without its system prompt.
    #[serde(serialize_with = "brief")]
    pub conversation: Conversation,
    /// Its newest message with the words; none when they are in its title only.
    pub message_id: Option<MessageId>,
    /// A piece of that message, or the title.
    pub snippet: String,
}

fn brief<S: Serializer>(
    conversation: &Conversation,
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    let mut brief = serde_json::to_value(conversation).map_err(S::Error::custom)?;
    if let Some(brief) = brief.as_object_mut() {
        brief.remove("system_prompt");
    }
    brief.serialize(to)
}

/// The places in one conversation, newest first.
#[derive(Default)]
struct Found {
    title: bool,
    message: Option<MessageId>,
}

impl Conversations {
    /// The caller's conversations that have all of the words, the last one (of two letters or more)
    /// as the beginning of a word: those with them in the title first, then by the
    /// newest message with them. Looks at the newest
    /// [`search_matches`](crate::Options::search_matches) places. Any text is a valid search.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn search(&self, ctx: &Context, query: &str, page: Page) -> Result<Paged<SearchHit>> {
        ctx.account()?;
        let wanted = Wanted::of(query);
        if wanted.words.is_empty() {
            return Ok(Paged::new(Vec::new(), page, 0));
        }
        let most = i64::from(self.options.search_matches);
        self.store
            .read(ctx, (wanted, page, most), |reads, (wanted, page, most)| {
                Box::pin(async move { hits(reads, wanted, *page, *most).await })
            })
            .await
    }
}

async fn hits(
    reads: &mut Reads,
    wanted: &Wanted,
    page: Page,
    most: i64,
) -> Result<Paged<SearchHit>> {
    let places = places(reads, wanted, most).await?;
    let mut order = Vec::new();
    let mut found: HashMap<ConversationId, Found> = HashMap::new();
    for (conversation, message) in places {
        let entry = found.entry(conversation).or_insert_with(|| {
            order.push(conversation);
            Found::default()
        });
        match message {
            Some(_) => entry.message = entry.message.or(message),
            None => entry.title = true,
        }
    }
    order.sort_by_key(|id| !found.get(id).is_some_and(|found| found.title));
    let total = i64::try_from(order.len()).unwrap_or(i64::MAX);
    let skip = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let take = usize::try_from(page.limit()).unwrap_or(0);
    let mut data = Vec::new();
    for id in order.into_iter().skip(skip).take(take) {
        let conversation = without_prompt(reads, id).await?;
        let message_id = found.get(&id).and_then(|found| found.message);
        let text = match message_id {
            Some(message) => beginning(reads, id, message).await?,
            None => None,
        };
        let text = text.unwrap_or_else(|| conversation.title.clone());
        data.push(SearchHit {
            conversation,
            message_id,
            snippet: snippet(&text, wanted),
        });
    }
    Ok(Paged::new(data, page, total))
}

/// One of the caller's conversations without its system prompt, which nobody reads here.
async fn without_prompt(reads: &mut Reads, id: ConversationId) -> Result<Conversation> {
    let ctx = reads.context()?;
    let columns = types::COLUMNS.replace("system_prompt", "CAST(NULL AS text)");
    let sql = format!(
        "SELECT {columns} FROM conversations
         WHERE tenant_id = $1 AND id = $2 AND account_id = $3 AND deleted_at IS NULL"
    );
    let row = reads
        .query_opt(&sql, params![ctx.tenant(), id, ctx.account()?])
        .await?;
    Conversation::from_row(row.ok_or_else(crate::absent)?)
}

/// As much of a message as is indexed.
async fn beginning(
    reads: &mut Reads,
    conversation: ConversationId,
    message: MessageId,
) -> Result<Option<String>> {
    let tenant = reads.tenant()?;
    let row = reads
        .query_opt(
            "SELECT substr(content, 1, CAST($4 AS int)) FROM messages
             WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3",
            params![tenant, conversation, message, READ],
        )
        .await?;
    row.map(|mut row| row.get(0)).transpose()
}

/// The newest places of the caller's texts that have the words.
async fn places(
    reads: &mut Reads,
    wanted: &Wanted,
    most: i64,
) -> Result<Vec<(ConversationId, Option<MessageId>)>> {
    let ctx = reads.context()?;
    let account = ctx.account()?;
    let words = wanted.words.iter();
    let rows = match reads.dialect() {
        Dialect::Sqlite => {
            // Words have letters and digits only; quoted, even AND and NEAR are words.
            let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
            let begins = if wanted.begins { " *" } else { "" };
            let wanted = format!(
                "owner : {} AND words : ({}{begins})",
                owner(account),
                quoted.join(" AND ")
            );
            reads
                .query(
                    "SELECT t.conversation_id, t.message_id FROM (
                       SELECT rowid AS place FROM conversation_words
                       WHERE conversation_words MATCH $1 ORDER BY rowid DESC LIMIT $2) AS found
                     JOIN conversation_texts t ON t.position = found.place
                     WHERE t.tenant_id = $3 AND t.account_id = $4 ORDER BY t.position DESC",
                    params![wanted, most, ctx.tenant(), account],
                )
                .await?
        }
        Dialect::Postgres => {
            let quoted: Vec<String> = words.map(|word| format!("'{word}'")).collect();
            let begins = if wanted.begins { ":*" } else { "" };
            let wanted = format!("'{}' & {}{begins}", owner(account), quoted.join(" & "));
            reads
                .query(
                    "SELECT hit_conversation, hit_message
                     FROM search_conversation_texts($1, $2, $3) ORDER BY hit_position DESC",
                    params![account, wanted, most],
                )
                .await?
        }
    };
    rows.into_iter()
        .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
        .collect()
}

/// The word that only texts of this account have; too long for anybody else's.
fn owner(account: AccountId) -> String {
    let hex = account.hex();
    format!("owner{hex}{hex}")
}

/// Makes a title or a message searchable.
pub(crate) async fn add(
    uow: &mut Uow,
    conversation: &Conversation,
    message: Option<MessageId>,
    text: &str,
) -> Result<()> {
    let words = words::distinct(text);
    if words.is_empty() {
        return Ok(());
    }
    let (tenant, account) = (uow.tenant()?, conversation.account_id);
    match uow.dialect() {
        Dialect::Sqlite => {
            let mut row = uow
                .query_one(
                    "INSERT INTO conversation_texts (tenant_id, account_id, conversation_id,
                       message_id) VALUES ($1, $2, $3, $4) RETURNING position",
                    params![tenant, account, conversation.id, message],
                )
                .await?;
            let position = row.get::<i64>(0)?;
            uow.execute(
                "INSERT INTO conversation_words (rowid, owner, words) VALUES ($1, $2, $3)",
                params![position, owner(account), words.join(" ")],
            )
            .await?;
        }
        Dialect::Postgres => {
            let lexemes = format!("'{}' '{}'", owner(account), words.join("' '"));
            uow.later(
                Rows::Any,
                "INSERT INTO conversation_texts (tenant_id, account_id, conversation_id,
                   message_id, words) VALUES ($1, $2, $3, $4, CAST(CAST($5 AS text) AS tsvector))",
                params![tenant, account, conversation.id, message, lexemes],
            )
            .await?;
        }
    }
    Ok(())
}

/// The title is not found any more.
pub(crate) async fn forget_title(uow: &mut Uow, id: ConversationId) -> Result<()> {
    remove(uow, id, " AND message_id IS NULL").await
}

/// Nothing of the conversation is found any more.
pub(crate) async fn forget(uow: &mut Uow, id: ConversationId) -> Result<()> {
    remove(uow, id, "").await
}

async fn remove(uow: &mut Uow, id: ConversationId, condition: &str) -> Result<()> {
    let tenant = uow.tenant()?;
    let which = format!("tenant_id = $1 AND conversation_id = $2{condition}");
    if uow.dialect() == Dialect::Sqlite {
        let sql = format!(
            "DELETE FROM conversation_words WHERE rowid IN
               (SELECT position FROM conversation_texts WHERE {which})"
        );
        uow.execute(&sql, params![tenant, id]).await?;
    }
    let sql = format!("DELETE FROM conversation_texts WHERE {which}");
    uow.execute(&sql, params![tenant, id]).await?;
    Ok(())
}

/// One line around the first of the words.
fn snippet(text: &str, wanted: &Wanted) -> String {
    let mut start = 0;
    let mut at = 0;
    for piece in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let hit = words::words(piece).iter().any(|word| wanted.has(word));
        if hit {
            start = at;
            break;
        }
        at += piece.len();
    }
    // Some words before it, from the beginning of a word.
    let lead = text[..start]
        .char_indices()
        .rev()
        .take(SNIPPET / 4)
        .last()
        .map_or(start, |(n, _)| n);
    let lead = match text[lead..start].find(char::is_whitespace) {
        Some(space) if lead > 0 => lead + space,
        _ => lead,
    };
    let mut line = String::new();
    let mut rest = text[lead..].chars();
    for c in rest.by_ref().take(SNIPPET) {
        if !c.is_whitespace() {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
    }
    let before = if lead > 0 { "…" } else { "" };
    let after = if rest.next().is_some() { "…" } else { "" };
    format!("{before}{}{after}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_shows_the_word_in_its_line() {
        let wanted = Wanted::of("lighth");
        assert_eq!(
            snippet("see the\n  Lighthouse, tonight", &wanted),
            "see the Lighthouse, tonight"
        );
        let long = format!(
            "{} the Lighthouse {}",
            "über ".repeat(200),
            "ß ".repeat(200)
        );
        let cut = snippet(&long, &wanted);
        assert!(
            cut.contains("Lighthouse") && cut.starts_with('…') && cut.ends_with('…'),
            "{cut}"
        );
        assert!(cut.chars().count() <= SNIPPET + 2);
        assert_eq!(snippet("", &wanted), "");
        let far = format!("{} a lighthouse", "another ".repeat(200));
        assert!(snippet(&far, &Wanted::of("a")).ends_with("a lighthouse"));
    }
}
