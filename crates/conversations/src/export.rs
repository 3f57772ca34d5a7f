//! A conversation as a file for its owner.

use std::fmt::Write as _;

use kernel::{Context, ConversationId, Error, Result};
use serde::{Deserialize, Serialize};
use store::{Reads, params};

use crate::{Conversation, Conversations, Message, MessageRole, MessageStatus, tree, types};

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Markdown: the current branch, to be read.
    #[default]
    Md,
    /// JSON: the conversation and every message of every branch.
    Json,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// A name for it: ASCII letters, digits and hyphens, with its extension.
    pub file_name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// What is in it.
    pub body: String,
}

impl Conversations {
    /// One of the caller's conversations as a file.
    ///
    /// # Errors
    /// `not_found` when it is absent, deleted or somebody else's.
    pub async fn export(
        &self,
        ctx: &Context,
        id: ConversationId,
        format: ExportFormat,
    ) -> Result<Export> {
        self.store
            .read(ctx, (id, format), |reads, (id, format)| {
                Box::pin(async move {
                    let conversation = crate::visible(reads, *id, "").await?;
                    match format {
                        ExportFormat::Md => markdown(reads, &conversation).await,
                        ExportFormat::Json => json(reads, &conversation).await,
                    }
                })
            })
            .await
    }
}

async fn markdown(reads: &mut Reads, conversation: &Conversation) -> Result<Export> {
    let mut messages = match conversation.head {
        Some(head) => {
            let all = tree::Walk::pages(0, i64::from(u32::MAX));
            tree::walk_up(reads, conversation.id, head, all).await?
        }
        None => Vec::new(),
    };
    messages.reverse();
    let title = if conversation.title.is_empty() {
        "Conversation"
    } else {
        &conversation.title
    };
    let mut body = format!("# {}\n", title.replace(['\n', '\r'], " "));
    if let Some(system_prompt) = &conversation.system_prompt {
        let _ = write!(body, "\n## System prompt\n\n{}\n", system_prompt.trim_end());
    }
    for message in &messages {
        let who = match message.role {
            MessageRole::User => "User",
            MessageRole::Assistant => "Assistant",
            MessageRole::System => "System",
        };
        let model = message
            .model_id
            .as_deref()
            .map(|id| format!(" ({id})"))
            .unwrap_or_default();
        let _ = write!(
            body,
            "\n## {who}{model}\n\n{}\n",
            message.content.trim_end()
        );
        if message.status != MessageStatus::Complete {
            let _ = write!(body, "\n_({})_\n", message.status.as_str());
        }
    }
    Ok(Export {
        file_name: file_name(conversation, "md"),
        media_type: "text/markdown; charset=utf-8",
        body,
    })
}

async fn json(reads: &mut Reads, conversation: &Conversation) -> Result<Export> {
    #[derive(Serialize)]
    struct File<'a> {
        conversation: &'a Conversation,
        messages: Vec<Message>,
    }
    let tenant = reads.tenant()?;
    let sql = format!(
        "SELECT {} FROM messages m WHERE m.tenant_id = $1 AND m.conversation_id = $2
         ORDER BY m.depth, m.parent_id, m.id",
        types::MESSAGE_COLUMNS
    );
    let rows = reads.query(&sql, params![tenant, conversation.id]).await?;
    let messages = rows
        .into_iter()
        .map(Message::from_row)
        .collect::<Result<_>>()?;
    let file = File {
        conversation,
        messages,
    };
    Ok(Export {
        file_name: file_name(conversation, "json"),
        media_type: "application/json",
        body: serde_json::to_string_pretty(&file).map_err(Error::internal)?,
    })
}

/// A name that no file system or header can misread.
fn file_name(conversation: &Conversation, extension: &str) -> String {
    let mut name = String::new();
    for c in conversation.title.chars() {
        if c.is_ascii_alphanumeric() && name.len() < 60 {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches('-');
    let name = if name.is_empty() {
        "conversation"
    } else {
        name
    };
    format!("{name}.{extension}")
}
