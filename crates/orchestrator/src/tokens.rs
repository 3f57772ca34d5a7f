//! Counting tokens where the provider cannot: OpenAI's vocabularies, by the
//! model's name. Exact for OpenAI's models, an estimate for others. Fitting a
//! prompt into a context window is `chat`'s business.

use std::sync::Arc;

use tiktoken_rs::{
    CoreBPE, bpe_for_tokenizer,
    tokenizer::{Tokenizer, get_tokenizer},
};

use crate::provider::ChatMessage;

/// Tokens around each message, its role apart, and around the whole prompt (OpenAI cookbook, "How to
/// count tokens with tiktoken").
const PER_MESSAGE: u64 = 3;
const PER_PROMPT: u64 = 3;
/// Every role is one token.
const PER_ROLE: u64 = 1;

/// Texts are counted in pieces of at most this many bytes: the vocabulary's pattern needs
/// effort and stack for long runs (a megabyte of spaces), and then gives up.
const PIECE: usize = 8 << 10;

/// More text than this is counted on a thread of its own: about 2 ms of work.
const INLINE: usize = 16 << 10;

/// The tokens of a text for a model of this name.
pub(crate) async fn count(model: &str, text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let vocabulary = vocabulary(model);
    if text.len() <= INLINE && is_loaded(vocabulary) {
        return count_now(vocabulary, text);
    }
    let text: Arc<str> = text.into();
    let bound = upper_bound(&text);
    blocking(vocabulary, move || count_now(vocabulary, &text))
        .await
        .unwrap_or(bound)
}

/// The tokens of a whole prompt, as OpenAI's models see it.
pub(crate) async fn count_prompt(model: &str, messages: &[ChatMessage]) -> u64 {
    let mut tokens = PER_PROMPT;
    for message in messages {
        tokens += PER_MESSAGE + PER_ROLE + count(model, &message.content).await;
    }
    tokens
}

/// No text has more tokens than this, by any vocabulary that falls back to bytes (all in use here do).
pub(crate) const fn upper_bound(text: &str) -> u64 {
    text.len() as u64
}

fn vocabulary(model: &str) -> Tokenizer {
    // Routers put the maker before the name: `openai/gpt-4o`.
    let name = model.rsplit('/').next().unwrap_or(model);
    match get_tokenizer(name) {
        Some(Tokenizer::Cl100kBase) => Tokenizer::Cl100kBase,
        _ => Tokenizer::O200kBase,
    }
}

/// Which vocabularies are in memory; each takes some 0.2 s and tens of MiB, once.
fn loaded(vocabulary: Tokenizer) -> &'static std::sync::OnceLock<()> {
    static CL100K: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    static O200K: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    if vocabulary == Tokenizer::Cl100kBase {
        &CL100K
    } else {
        &O200K
    }
}

fn is_loaded(vocabulary: Tokenizer) -> bool {
    loaded(vocabulary).get().is_some()
}

/// Does it on a thread that may block. Fails only while the process goes down.
async fn blocking<T: Send + 'static>(
    vocabulary: Tokenizer,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let done = tokio::task::spawn_blocking(work).await.ok();
    if done.is_some() {
        loaded(vocabulary).get_or_init(|| ());
    }
    done
}

fn count_now(vocabulary: Tokenizer, text: &str) -> u64 {
    let Ok(bpe) = bpe_for_tokenizer(vocabulary) else {
        return upper_bound(text);
    };
    count_pieces(bpe, text)
}

fn count_pieces(bpe: &CoreBPE, mut text: &str) -> u64 {
    let mut tokens = 0;
    while !text.is_empty() {
        let (piece, rest) = text.split_at(piece_end(text));
        tokens += bpe.count_ordinary(piece) as u64;
        text = rest;
    }
    tokens
}

/// Where to cut: before the last space in reach that stands before a word, since no token goes
/// across that place; in texts without one, wherever a character ends.
fn piece_end(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let bytes = text.as_bytes();
    (PIECE / 2..PIECE)
        .rev()
        .find(|at| {
            bytes[*at] == b' '
                && bytes[at - 1].is_ascii_alphanumeric()
                && bytes[at + 1].is_ascii_alphanumeric()
        })
        .unwrap_or_else(|| text.floor_char_boundary(PIECE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Role;
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn counts_as_openai_does() {
        // Figures of OpenAI's own tokenizer.
        assert_eq!(count("gpt-4o", "tiktoken is great!").await, 6);
        assert_eq!(count("gpt-4", "antidisestablishmentarianism").await, 6);
        assert_eq!(count("gpt-4", "お誕生日おめでとう").await, 9);
        assert_eq!(count("openai/gpt-4o", "お誕生日おめでとう").await, 8);
        assert_eq!(count("anything", "").await, 0);
        let messages = [
            ChatMessage::new(Role::System, "hello"),
            ChatMessage::new(Role::User, "hello"),
        ];
        assert_eq!(count_prompt("gpt-4o", &messages).await, 3 + 2 * 5);
    }

    #[tokio::test]
    async fn special_tokens_in_a_text_are_text() {
        assert!(count("gpt-4o", "<|endoftext|>").await > 1);
    }

    #[tokio::test]
    async fn a_long_text_is_counted_in_pieces_and_to_the_same_number() {
        let words = "The quick brown fox jumps over the lazy dog, again. ".repeat(2000);
        let whole = bpe_for_tokenizer(Tokenizer::O200kBase)
            .unwrap()
            .count_ordinary(&words) as u64;
        assert_eq!(count("gpt-4o", &words).await, whole);
    }

    #[tokio::test]
    async fn no_text_of_a_megabyte_takes_for_ever() {
        count("gpt-4o", "load").await;
        for unit in ["a", " ", "\n", "\u{1f600}", "0", "=", " \n", "ab1 "] {
            let text = unit.repeat((1 << 20) / unit.len());
            let start = Instant::now();
            let tokens = count("gpt-4o", &text).await;
            assert!(
                tokens > 0 && tokens <= upper_bound(&text),
                "{unit:?}: {tokens}"
            );
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{unit:?}: {:?}",
                start.elapsed()
            );
        }
    }
}
