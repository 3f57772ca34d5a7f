//! What the model is told: the system prompt, as much of the branch as fits its
//! context window, and the new prompt. Oldest turns go first, and go whole.

use conversations::{Message, MessageRole};
use kernel::{Error, Result, codes};
use orchestrator::{ChatMessage, Model, Orchestrator, Role};

use crate::cost::room;

/// Bytes of history that are read for each token of a model's window. Texts have three to five in a
/// token; what has more is mostly space, and its oldest part is left out unread.
const BYTES_PER_TOKEN: u64 = 16;

/// How much text can matter to this model; more is not even read.
pub(crate) fn most_bytes(model: &Model) -> u64 {
    u64::from(model.context_window) * BYTES_PER_TOKEN
}

/// A prompt with its context, and what it counts.
#[derive(Debug, Clone)]
pub(crate) struct Composed {
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) prompt_tokens: u64,
    /// Tokens that are left for the answer.
    pub(crate) room: u64,
}

/// Fits the branch (newest message first) into the model's window.
pub(crate) async fn compose(
    orchestrator: &Orchestrator,
    model: &Model,
    system: Option<&str>,
    branch: &[Message],
    max_tokens: Option<u32>,
) -> Result<Composed> {
    let window = u64::from(model.context_window);
    // A quarter of the window is kept for the answer, less if less is wanted.
    let reserve = max_tokens
        .map_or(window / 4, |max| u64::from(max).min(window / 4))
        .max(1);
    let budget = window - reserve.min(window);
    let system = system.map(|text| ChatMessage::new(Role::System, text));
    let mut kept = turns(branch);
    loop {
        let messages: Vec<ChatMessage> = system
            .iter()
            .cloned()
            .chain(kept.iter().flatten().rev().map(told))
            .collect();
        let prompt_tokens = orchestrator.count_prompt(model, &messages).await;
        if prompt_tokens <= budget {
            return Ok(Composed {
                messages,
                prompt_tokens,
                room: room(model, prompt_tokens),
            });
        }
        if kept.len() <= 1 {
            return Err(Error::new(
                codes::CONTEXT_TOO_LONG,
                format!(
                    "The prompt has {prompt_tokens} tokens; {} takes {budget}. Shorten it or \
                     choose a model with a larger context window.",
                    model.id
                ),
            ));
        }
        // Drop in proportion to the excess, so that a long history takes few counts.
        let keep = kept.len() as u64 * budget / prompt_tokens;
        let keep = usize::try_from(keep).unwrap_or(1).clamp(1, kept.len() - 1);
        kept.truncate(keep);
    }
}

/// Turns of a branch, newest first; each begins with a person's message and
/// holds its messages newest first.
fn turns(branch: &[Message]) -> Vec<Vec<&Message>> {
    let mut turns = Vec::new();
    let mut turn = Vec::new();
    for message in branch {
        turn.push(message);
        if message.role == MessageRole::User {
            turns.push(std::mem::take(&mut turn));
        }
    }
    // What is left begins the conversation, or is the rest of a turn whose beginning was not read.
    let whole = turn.last().is_some_and(|first| first.parent_id.is_none());
    if whole || turns.is_empty() && !turn.is_empty() {
        turns.push(turn);
    }
    turns
}

fn told(message: &&Message) -> ChatMessage {
    let role = match message.role {
        MessageRole::User => Role::User,
        MessageRole::Assistant => Role::Assistant,
        MessageRole::System => Role::System,
    };
    ChatMessage::new(role, message.content.clone())
}

#[cfg(test)]
mod tests {
    use conversations::MessageStatus;
    use kernel::Id;
    use uuid::Uuid;

    use super::*;

    /// The `n`th message of a thread in which prompts and answers take turns.
    fn message(n: u128) -> Message {
        let id = |n| Id::from_uuid(Uuid::from_u128(n));
        let roles = [MessageRole::User, MessageRole::Assistant];
        Message {
            id: id(n + 1),
            conversation_id: Id::from_uuid(Uuid::nil()),
            parent_id: n.checked_sub(1).map(|before| id(before + 1)),
            depth: 0,
            role: roles[usize::from(n % 2 == 1)],
            content: n.to_string(),
            status: MessageStatus::Complete,
            end_reason: None,
            run_id: None,
            model_id: None,
            usage: None,
            credits: None,
            created_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        }
    }

    fn of(branch: &[Message]) -> Vec<Vec<&str>> {
        let turns = turns(branch).into_iter();
        turns
            .map(|turn| turn.iter().map(|m| m.content.as_str()).collect())
            .collect()
    }

    #[test]
    fn a_turn_whose_beginning_was_not_read_is_left_out() {
        let branch: Vec<Message> = (0..5).rev().map(message).collect();
        assert_eq!(of(&branch), [vec!["4"], vec!["3", "2"], vec!["1", "0"]]);
        assert_eq!(of(&branch[..4]), [vec!["4"], vec!["3", "2"]]);
        assert_eq!(of(&branch[..1]), [vec!["4"]]);
        // A thread may begin with an answer, and that may be all there is.
        let mut first = message(1);
        first.parent_id = None;
        assert_eq!(of(&[message(2), first]), [vec!["2"], vec!["1"]]);
        assert_eq!(of(&[message(3)]), [vec!["3"]]);
    }
}
