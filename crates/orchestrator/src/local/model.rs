//! A loaded model: its weights, tokenizer and chat template, shared between the thread that generates and those that
//! count. Not here: contexts and generation (`generate`).

use std::{collections::BTreeSet, path::Path, sync::OnceLock};

use aho_corasick::AhoCorasick;
use llama_cpp_2::{
    LogOptions,
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
    send_logs_to_tracing,
    token::LlamaToken,
    token_type::LlamaTokenAttr,
};

use super::{
    gguf,
    template::{CHATML_END, Template},
};
use crate::provider::{ChatMessage, ProviderError, ProviderErrorKind};

/// Texts are given to the tokenizer in pieces of this size: some tokenizers cut texts with regular expressions whose depth
/// grows with the text.
const PIECE: usize = 8 * 1024;

/// A model in memory.
pub(super) struct Model {
    pub llama: LlamaModel,
    /// Tokens of prompt and answer together.
    pub window: u32,
    /// Bytes that the prompt cache of a whole window takes.
    pub cache_bytes: u64,
    /// Texts that end an answer besides those that are asked for.
    pub stops: Vec<&'static str>,
    template: Template,
    /// Finds the texts of control tokens in what people write.
    control: Option<AhoCorasick>,
    byte_pairs: bool,
}

/// The engine itself, begun once for the process.
pub(super) fn backend() -> Result<&'static LlamaBackend, ProviderError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            check_cpu()?;
            let mut backend = LlamaBackend::init()
                .map_err(|error| format!("llama.cpp could not be started: {error}"))?;
            // What it writes while it loads is of interest to nobody else.
            if tracing::enabled!(tracing::Level::DEBUG) {
                send_logs_to_tracing(LogOptions::default());
            } else {
                backend.void_logs();
            }
            Ok(backend)
        })
        .as_ref()
        .map_err(|message| engine(message.clone()))
}

/// The engine is compiled for these instructions and would end the process without them (decision 0005).
fn check_cpu() -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    {
        let missing: Vec<&str> = [
            ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
            ("FMA", std::arch::is_x86_feature_detected!("fma")),
            ("F16C", std::arch::is_x86_feature_detected!("f16c")),
            ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
        ]
        .into_iter()
        .filter_map(|(name, there)| (!there).then_some(name))
        .collect();
        if !missing.is_empty() {
            return Err(format!(
                "local models need a CPU with {}; use a provider over HTTP on this machine",
                missing.join(", ")
            ));
        }
    }
    Ok(())
}

/// A failure of the engine.
pub(super) fn engine(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Engine, message)
}

impl Model {
    /// Checks and loads a file. Takes long; not for async threads.
    pub fn load(path: &Path, window: u32) -> Result<Self, ProviderError> {
        let header = gguf::read(path).map_err(engine)?;
        let backend = backend()?;
        // Not mapped: a mapped file that somebody overwrites in place ends the process.
        let params = LlamaModelParams::default()
            .with_use_mmap(false)
            .with_n_gpu_layers(0);
        let llama = LlamaModel::load_from_file(backend, path, &params).map_err(|_| {
            engine("llama.cpp cannot load the file; it may be damaged, or too large for the memory")
        })?;
        let (bos, eos) = {
            let vocab = llama.vocab();
            (
                token_text(&llama, vocab.bos()),
                token_text(&llama, vocab.eos()),
            )
        };
        let template = Template::new(header.template.as_deref(), bos, eos).map_err(engine)?;
        let window = window.min(header.context_length).max(1);
        Ok(Self {
            control: control_texts(&llama)?,
            llama,
            window,
            cache_bytes: header.cache_bytes_per_token.saturating_mul(window.into()),
            stops: header
                .template
                .is_none()
                .then_some(CHATML_END)
                .into_iter()
                .collect(),
            template,
            byte_pairs: header.byte_pairs,
        })
    }

    /// The tokens of a whole prompt, up to where the answer begins.
    ///
    /// Control tokens are made only from what the template wrote: where people wrote the text of one, it is broken up and
    /// stays text.
    pub fn prompt(&self, messages: &[ChatMessage]) -> Result<Vec<LlamaToken>, ProviderError> {
        let bad = |message: String| ProviderError::new(ProviderErrorKind::BadRequest, message);
        let mark = unused_mark(messages)
            .ok_or_else(|| bad("the messages use every private character".to_owned()))?;
        let marked: Vec<ChatMessage> = messages
            .iter()
            .map(|message| ChatMessage::new(message.role, self.mark(&message.content, mark)))
            .collect();
        let text = self.template.render(&marked).map_err(bad)?;
        let mut tokens = Vec::with_capacity(text.len() / 3 + 8);
        for fragment in text.split(mark) {
            self.tokenize_into(fragment, true, &mut tokens);
        }
        let vocab = self.llama.vocab();
        if vocab.should_add_bos() && tokens.first() != Some(&vocab.bos()) {
            tokens.insert(0, vocab.bos());
        }
        if tokens.is_empty() {
            return Err(bad("the prompt is empty".to_owned()));
        }
        Ok(tokens)
    }

    /// The tokens of a text by itself; control tokens in it are plain text.
    pub fn count(&self, text: &str) -> usize {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 8);
        self.tokenize_into(text, false, &mut tokens);
        tokens.len()
    }

    /// Puts the mark into each text of a control token, after its first character.
    fn mark(&self, text: &str, mark: char) -> String {
        let Some(control) = &self.control else {
            return text.to_owned();
        };
        let breaks: BTreeSet<usize> = control
            .find_overlapping_iter(text)
            .map(|found| {
                let first = text[found.start()..].chars().next();
                found.start() + first.map_or(0, char::len_utf8)
            })
            .collect();
        let mut marked = String::with_capacity(text.len() + breaks.len() * 4);
        let mut from = 0;
        for at in breaks {
            marked.push_str(&text[from..at]);
            marked.push(mark);
            from = at;
        }
        marked.push_str(&text[from..]);
        marked
    }

    fn tokenize_into(&self, text: &str, parse_special: bool, tokens: &mut Vec<LlamaToken>) {
        let vocab = self.llama.vocab();
        let most = if self.byte_pairs {
            PIECE
        } else {
            usize::MAX / 2
        };
        for piece in pieces(text, most) {
            tokens.extend(vocab.tokenize(piece.as_bytes(), false, parse_special));
        }
    }
}

/// The text of a token; empty for one that the vocabulary does not have.
fn token_text(llama: &LlamaModel, token: LlamaToken) -> String {
    let vocab = llama.vocab();
    if !(0..vocab.n_tokens()).contains(&token.0) {
        return String::new();
    }
    vocab
        .text(token)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Finds the texts that the tokenizer would take for control tokens. Those of one character cannot be broken up; no known
/// model has any.
fn control_texts(llama: &LlamaModel) -> Result<Option<AhoCorasick>, ProviderError> {
    let vocab = llama.vocab();
    let texts: Vec<String> = vocab
        .tokens()
        .filter(|&token| {
            let attributes = vocab.attr(token);
            attributes.contains(LlamaTokenAttr::Control)
                || attributes.contains(LlamaTokenAttr::Unknown)
        })
        .map(|token| token_text(llama, token))
        .filter(|text| text.chars().count() > 1)
        .collect();
    if texts.is_empty() {
        return Ok(None);
    }
    AhoCorasick::new(texts).map(Some).map_err(|error| {
        engine(format!(
            "the control tokens cannot be searched for: {error}"
        ))
    })
}

/// A private-use character that is in none of the messages.
fn unused_mark(messages: &[ChatMessage]) -> Option<char> {
    let used: BTreeSet<char> = messages
        .iter()
        .flat_map(|message| message.content.chars())
        .filter(|character| ('\u{E000}'..='\u{F8FF}').contains(character))
        .collect();
    ('\u{E000}'..='\u{F8FF}').find(|character| !used.contains(character))
}

/// A text in pieces of at most so many bytes, cut before a space after a word where there is one: there tokens begin
/// anyway.
fn pieces(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        if end > most {
            end = rest.floor_char_boundary(most).max(1);
            let bytes = rest.as_bytes();
            let word_ends = |at: &usize| bytes[*at] == b' ' && !bytes[at - 1].is_ascii_whitespace();
            end = (end / 2..=end)
                .rev()
                .filter(|at| *at > 0)
                .find(word_ends)
                .unwrap_or(end);
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_between_words_and_lose_nothing() {
        let text = "one two three  four😀😀😀😀😀 five";
        let cut: Vec<&str> = pieces(text, 10).collect();
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|piece| piece.len() <= 10));
        assert_eq!(cut[0], "one two");
        assert_eq!(pieces("", 10).count(), 0);
        assert_eq!(pieces("abc", 10).count(), 1);
    }

    #[test]
    fn the_mark_is_a_character_that_nobody_used() {
        use crate::provider::Role;
        let said = [ChatMessage::new(Role::User, "a\u{E000}b\u{E001}")];
        assert_eq!(unused_mark(&said), Some('\u{E002}'));
    }
}
