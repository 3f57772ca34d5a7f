//! What a conversation and a message are, and how they are asked for and changed.

use std::{str::FromStr, time::Duration};

use kernel::{
    AccountId, AssistantId, ConversationId, Credits, Error, MessageId, Result, RunId, Timestamp,
};
use serde::{Deserialize, Serialize};
use store::Row;

/// Limits of this part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Longest title a person may give, in characters.
    pub title_chars: usize,
    /// Longest system prompt of a conversation, in characters.
    pub system_prompt_chars: usize,
    /// Largest prompt, in bytes of UTF-8.
    pub prompt_bytes: usize,
    /// Conversations of one account at most, deleted ones until they are purged among them.
    pub max_per_account: u32,
    /// How many of the newest matches a search looks at, over all its pages.
    pub search_matches: u32,
    /// How long a deleted conversation can be restored; then its text is purged.
    #[serde(with = "kernel::duration")]
    pub purge_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title_chars: 200,
            system_prompt_chars: 32_768,
            prompt_bytes: 256 * 1024,
            max_per_account: 100_000,
            search_matches: 2_000,
            purge_after: Duration::from_hours(30 * 24),
        }
    }
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The name in JSON and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(store::broken(concat!("an unknown ", stringify!($name)))),
                }
            }
        }
    };
}

texts! {
    /// Whether a conversation goes on (S0: sessions have a status).
    Status {
        /// It can be continued and observed.
        Active = "active",
        /// It has ended and can only be read.
        Closed = "closed",
    }
}
texts! {
    /// Who gave a conversation its title.
    TitleSource {
        /// Nobody yet.
        None = "none",
        /// It was taken from the first prompt.
        Heuristic = "heuristic",
        /// A model made it.
        Model = "model",
        /// A person; nothing else replaces it.
        Person = "person",
    }
}
texts! {
    /// Who speaks.
    MessageRole {
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// The platform or a supervisor.
        System = "system",
    }
}
texts! {
    /// How a message came to its end. Anything but `complete` may be cut off.
    MessageStatus {
        /// It is whole.
        Complete = "complete",
        /// Somebody stopped it.
        Stopped = "stopped",
        /// The platform was interrupted while it was written.
        Interrupted = "interrupted",
        /// The model failed while it was written.
        Error = "error",
    }
}

/// A thread of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its title; empty before the first prompt.
    pub title: String,
    /// Who gave the title.
    pub title_source: TitleSource,
    /// The model that answers.
    pub model_id: String,
    /// What the model is told first.
    pub system_prompt: Option<String>,
    /// Whether it goes on.
    pub status: Status,
    /// Shown before all others.
    pub pinned: bool,
    /// Out of the usual list.
    pub archived: bool,
    /// The last message of the current branch.
    pub head: Option<MessageId>,
    /// Counts the changes.
    pub version: i64,
    /// The run that is writing an answer.
    pub active_run: Option<RunId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
    /// The assistant it began with, which may be gone.
    pub assistant_id: Option<AssistantId>,
}

pub(crate) const COLUMNS: &str = "id, account_id, title, title_source, model_id, system_prompt,
    status, pinned, archived, head, version, active_run, created_at, updated_at, assistant_id";

impl Conversation {
    pub(crate) fn from_row(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            account_id: row.get(1)?,
            title: row.get(2)?,
            title_source: row.get::<String>(3)?.parse()?,
            model_id: row.get(4)?,
            system_prompt: row.get(5)?,
            status: row.get::<String>(6)?.parse()?,
            pinned: row.get(7)?,
            archived: row.get(8)?,
            head: row.get(9)?,
            version: row.get(10)?,
            active_run: row.get(11)?,
            created_at: row.get(12)?,
            updated_at: row.get(13)?,
            assistant_id: row.get(14)?,
        })
    }
}

/// One message; never changed once it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// What it answers or follows; none at the beginning of a branch.
    pub parent_id: Option<MessageId>,
    /// How many messages stand above it on its branch.
    pub depth: i64,
    /// Who speaks.
    pub role: MessageRole,
    /// The text.
    pub content: String,
    /// Whether it is whole.
    pub status: MessageStatus,
    /// Why the run ended that wrote it: `stop`, `length`, `insufficient_credits` ...
    pub end_reason: Option<String>,
    /// The run that wrote it, or that it started.
    pub run_id: Option<RunId>,
    /// The model that wrote it.
    pub model_id: Option<String>,
    /// The tokens that were used.
    pub usage: Option<serde_json::Value>,
    /// What it cost.
    pub credits: Option<Credits>,
    /// When it was stored.
    pub created_at: Timestamp,
}

pub(crate) const MESSAGE_COLUMNS: &str = "m.id, m.conversation_id, m.parent_id, m.depth, m.role,
    m.content, m.status, m.end_reason, m.run_id, m.model_id, m.usage, m.credits, m.created_at";

impl Message {
    pub(crate) fn from_row(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            conversation_id: row.get(1)?,
            parent_id: row.get(2)?,
            depth: row.get(3)?,
            role: row.get::<String>(4)?.parse()?,
            content: row.get(5)?,
            status: row.get::<String>(6)?.parse()?,
            end_reason: row.get(7)?,
            run_id: row.get(8)?,
            model_id: row.get(9)?,
            usage: row.get(10)?,
            credits: row.get(11)?,
            created_at: row.get(12)?,
        })
    }
}

/// A conversation to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Create {
    /// The model; the caller has checked that it exists.
    pub model_id: String,
    /// A title that a person gives.
    pub title: Option<String>,
    /// What the model is told first.
    pub system_prompt: Option<String>,
    /// The assistant from which model and system prompt come.
    pub assistant_id: Option<AssistantId>,
}

/// Which conversations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// The archived ones instead of the others.
    pub archived: bool,
    /// Only pinned ones, or only others.
    pub pinned: Option<bool>,
}

/// What changes about a conversation; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// The title; an empty one lets the platform name it again.
    pub title: Option<String>,
    /// Shown first.
    pub pinned: Option<bool>,
    /// Out of the usual list.
    pub archived: Option<bool>,
    /// The model; the caller has checked that it exists.
    pub model_id: Option<String>,
    /// The system prompt; `Some(None)` removes it.
    pub system_prompt: Option<Option<String>>,
    /// Goes to the branch of this message: its newest leaf becomes the head.
    pub head: Option<MessageId>,
    /// Only if the conversation still has this version.
    pub version: Option<i64>,
}

/// A conversation is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// A sentence for the client (S0.2.4).
    pub message: String,
    /// The run that was still writing; the caller cancels it.
    #[serde(skip)]
    pub active_run: Option<RunId>,
}
