//! A conversation as a file for its owner.

use std::{collections::VecDeque, fmt::Write as _};

use kernel::{Context, ConversationId, Error, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Conversation, Conversations, Message, MessageRole, MessageStatus,
    pieces::{self, Mark, Piece},
    tree::{self, Step},
};

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

/// A file, read while it is sent: nothing of it is held as a whole.
#[derive(Debug)]
pub struct Export {
    /// A name for it: ASCII letters, digits and hyphens, with its extension.
    pub file_name: String,
    /// Its media type.
    pub media_type: &'static str,
    part: Conversations,
    ctx: Context,
    conversation: Conversation,
    next: Next,
}

/// Messages in a piece at most; fewer when they are long.
const MESSAGES: u32 = 200;

/// What comes next.
#[derive(Debug)]
enum Next {
    /// All that is before the messages.
    Head(ExportFormat),
    /// The messages of the current branch that are left, the first one first.
    Branch(VecDeque<Step>),
    /// The messages of every branch after this one.
    Tree(Option<Mark>),
    Nothing,
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
        let conversation = self.get(ctx, id).await?;
        let (extension, media_type) = match format {
            ExportFormat::Md => ("md", "text/markdown; charset=utf-8"),
            ExportFormat::Json => ("json", "application/json"),
        };
        Ok(Export {
            file_name: file_name(&conversation, extension),
            media_type,
            part: self.clone(),
            ctx: ctx.clone(),
            conversation,
            next: Next::Head(format),
        })
    }
}

impl Export {
    /// The next piece of the file; none at its end.
    ///
    /// # Errors
    /// `not_found` when the conversation is deleted meanwhile; `database_unavailable`.
    pub async fn piece(&mut self) -> Result<Option<String>> {
        let mut out = String::new();
        self.next = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Head(ExportFormat::Md) => {
                markdown_head(&mut out, &self.conversation);
                Next::Branch(self.branch().await?)
            }
            Next::Head(ExportFormat::Json) => {
                out.push_str("{\n  \"conversation\": ");
                json(&mut out, &self.conversation, "  ")?;
                out.push_str(",\n  \"messages\": [");
                Next::Tree(None)
            }
            Next::Branch(mut left) => {
                for message in self.of_branch(&mut left).await? {
                    markdown(&mut out, &message);
                }
                match left.is_empty() {
                    true => Next::Nothing,
                    false => Next::Branch(left),
                }
            }
            Next::Tree(after) => self.tree(&mut out, after).await?,
            Next::Nothing => return Ok(None),
        };
        Ok(Some(out))
    }

    /// What the current branch consists of.
    async fn branch(&self) -> Result<VecDeque<Step>> {
        let Some(head) = self.conversation.head else {
            return Ok(VecDeque::new());
        };
        let of = (self.conversation.id, head);
        let read = self.part.store.read(&self.ctx, of, |reads, (id, head)| {
            Box::pin(async move { tree::steps(reads, *id, *head).await })
        });
        let mut steps = read.await?;
        steps.reverse();
        Ok(steps.into())
    }

    /// The next messages of the branch.
    async fn of_branch(&self, left: &mut VecDeque<Step>) -> Result<Vec<Message>> {
        let (mut last, mut count, mut bytes) = (None, 0, 0);
        while count < MESSAGES && bytes < pieces::BYTES {
            let Some(step) = left.pop_front() else { break };
            bytes += step.bytes;
            count += 1;
            last = Some(step.id);
        }
        let Some(last) = last else {
            return Ok(Vec::new());
        };
        let of = (self.conversation.id, last, i64::from(count));
        let read = self
            .part
            .store
            .read(&self.ctx, of, |reads, (id, last, count)| {
                Box::pin(async move {
                    crate::still(reads, *id).await?;
                    tree::walk_up(reads, *id, *last, tree::Walk::pages(0, *count)).await
                })
            });
        let mut messages = read.await?;
        messages.reverse();
        Ok(messages)
    }

    /// The next messages of every branch.
    async fn tree(&self, out: &mut String, after: Option<Mark>) -> Result<Next> {
        let of = (self.conversation.id, after);
        let read = self.part.store.read(&self.ctx, of, |reads, (id, after)| {
            Box::pin(async move {
                crate::still(reads, *id).await?;
                Piece::after(reads, *id, *after, MESSAGES).await
            })
        });
        let piece = read.await?;
        for (n, message) in piece.messages.iter().enumerate() {
            out.push_str(if after.is_none() && n == 0 {
                "\n    "
            } else {
                ",\n    "
            });
            json(out, message, "    ")?;
        }
        if piece.more {
            return Ok(Next::Tree(piece.end()));
        }
        let empty = after.is_none() && piece.messages.is_empty();
        out.push_str(if empty { "]\n}" } else { "\n  ]\n}" });
        Ok(Next::Nothing)
    }
}

fn markdown_head(out: &mut String, conversation: &Conversation) {
    let title = if conversation.title.is_empty() {
        "Conversation"
    } else {
        &conversation.title
    };
    let _ = writeln!(out, "# {}", title.replace(['\n', '\r'], " "));
    if let Some(system_prompt) = &conversation.system_prompt {
        let _ = write!(out, "\n## System prompt\n\n{}\n", system_prompt.trim_end());
    }
}

fn markdown(out: &mut String, message: &Message) {
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
    let _ = write!(out, "\n## {who}{model}\n\n{}\n", message.content.trim_end());
    if message.status != MessageStatus::Complete {
        let _ = write!(out, "\n_({})_\n", message.status.as_str());
    }
}

/// A value as it stands in a larger document, so far from the margin.
fn json(out: &mut String, value: &impl Serialize, margin: &str) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Error::internal)?;
    // Every line break is between values: those in texts are escaped.
    out.push_str(&text.replace('\n', &format!("\n{margin}")));
    Ok(())
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
