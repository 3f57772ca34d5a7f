//! Generates answers on one thread: contexts with their prompt caches, reading the prompt, picking tokens. Not here:
//! whose turn it is (`queue`, `worker`).

use std::num::NonZeroU32;

use llama_cpp_2::{
    context::{LlamaContext, params::LlamaContextParams},
    llama_batch::LlamaBatch,
    sampling::LlamaSampler,
    token::LlamaToken,
};

use super::{
    cutter::Cutter,
    model::{Model, backend, engine},
};
use crate::provider::{ChatRequest, FinishReason, ProviderError, TokenUsage};

/// Conversations whose prompt caches are kept at once, memory permitting.
const MOST_SEATS: u64 = 8;
/// How far back the penalty for repetition looks, in tokens (llama.cpp's default).
const REPEAT_LAST: usize = 64;
/// What is used where the request does not say.
const TEMPERATURE: f32 = 0.7;
const TOP_P: f32 = 0.95;

/// How the engine computes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Computing {
    /// Threads that generate.
    pub threads: i32,
    /// Threads that read prompts.
    pub prompt_threads: i32,
    /// Tokens of a prompt between two looks at whether anybody still listens.
    pub batch: u32,
    /// Bytes of prompt caches that a model may keep.
    pub cache_bytes: u64,
}

/// How the next token is picked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sampling {
    temperature: f32,
    top_p: f32,
    repeat_penalty: f32,
    seed: Option<u64>,
}

impl Sampling {
    pub fn of(request: &ChatRequest) -> Self {
        let within = |value: Option<f32>, least: f32, most: f32, otherwise: f32| match value {
            Some(value) if value.is_finite() => value.clamp(least, most),
            _ => otherwise,
        };
        Self {
            temperature: within(request.temperature, 0.0, 2.0, TEMPERATURE),
            top_p: within(request.top_p, 0.0, 1.0, TOP_P),
            repeat_penalty: within(request.repeat_penalty, 0.1, 10.0, 1.0),
            seed: request.seed,
        }
    }

    /// The samplers in llama.cpp's order, knowing the end of the prompt.
    fn chain(&self, n_vocab: i32, prompt: &[LlamaToken]) -> LlamaSampler {
        let mut samplers = Vec::with_capacity(4);
        if (self.repeat_penalty - 1.0).abs() > f32::EPSILON {
            let last = i32::try_from(REPEAT_LAST).unwrap_or(i32::MAX);
            samplers.push(LlamaSampler::penalties(
                n_vocab,
                last,
                self.repeat_penalty,
                0.0,
                0.0,
            ));
        }
        if self.temperature <= 0.0 {
            samplers.push(LlamaSampler::greedy());
        } else {
            if self.top_p < 1.0 {
                samplers.push(LlamaSampler::top_p(self.top_p, 1));
            }
            samplers.push(LlamaSampler::temp(self.temperature));
            samplers.push(LlamaSampler::dist(self.seed.map_or(u32::MAX, fold)));
        }
        let tail = &prompt[prompt.len().saturating_sub(REPEAT_LAST)..];
        LlamaSampler::chain(samplers, true).with_tokens(tail)
    }
}

/// llama.cpp's seeds have 32 bits, and the highest means «any».
fn fold(seed: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let folded = (seed >> 32) as u32 ^ seed as u32;
    folded.min(u32::MAX - 1)
}

/// What is to be generated.
pub(super) struct Task {
    /// Whose prompt cache: the owner with the conversation.
    pub seat: String,
    pub prompt: Vec<LlamaToken>,
    pub sampling: Sampling,
    pub stops: Vec<String>,
    pub max_tokens: Option<u32>,
}

/// How an answer ended.
pub(super) struct Done {
    /// `None` when nobody listened any more.
    pub finish: Option<FinishReason>,
    pub usage: TokenUsage,
    /// Of the prompt, the tokens that were still in the cache.
    pub reused: u64,
}

/// Who hears an answer.
pub(super) trait Listener {
    /// Whether anybody still wants it.
    fn listens(&self) -> bool;
    /// More text, never empty.
    fn hear(&mut self, text: String);
}

/// A context and what its cache holds, position by position: both are changed together or given up together.
struct Seat<'m> {
    name: String,
    context: LlamaContext<'m>,
    cached: Vec<LlamaToken>,
    used: u64,
}

/// Generates with one model; lives on one thread.
pub(super) struct Engine<'m> {
    model: &'m Model,
    computing: Computing,
    seats: Vec<Seat<'m>>,
    uses: u64,
}

impl<'m> Engine<'m> {
    pub fn new(model: &'m Model, computing: Computing) -> Self {
        Self {
            model,
            computing,
            seats: Vec::new(),
            uses: 0,
        }
    }

    /// Forgets every prompt, as after a failure that left things unknown.
    pub fn forget(&mut self) {
        self.seats.clear();
    }

    /// Generates an answer. The prompt leaves room for a token at least (checked when it was made).
    pub fn answer(
        &mut self,
        task: &Task,
        listener: &mut dyn Listener,
    ) -> Result<Done, ProviderError> {
        let mut seat = self.take_seat(&task.seat)?;
        // A seat that failed is not put back: its cache and what is known of it go together.
        let done = self.answer_in(&mut seat, task, listener)?;
        self.seats.push(seat);
        Ok(done)
    }

    fn answer_in(
        &self,
        seat: &mut Seat<'m>,
        task: &Task,
        listener: &mut dyn Listener,
    ) -> Result<Done, ProviderError> {
        let prompt = &task.prompt;
        // What was computed in other batches differs in the last bits, which a repeatable answer must not depend on.
        let reused = match task.sampling.seed {
            Some(_) => seat.keep(0),
            None => seat.keep(seat.common(prompt)),
        };
        let mut done = Done {
            finish: None,
            usage: TokenUsage {
                prompt_tokens: prompt.len() as u64,
                completion_tokens: 0,
            },
            reused: reused as u64,
        };
        if !seat.read(&prompt[reused..], self.computing.batch as usize, listener)? {
            return Ok(done);
        }
        let room = (self.model.window as usize).saturating_sub(prompt.len());
        let most = task.max_tokens.map_or(room, |most| room.min(most as usize));
        let stops = task.stops.iter().map(String::as_str);
        let mut cutter = Cutter::new(stops.chain(self.model.stops.iter().copied()));
        let vocab = self.model.llama.vocab();
        let mut sampler = task.sampling.chain(vocab.n_tokens(), prompt);
        let mut bytes = Vec::with_capacity(64);
        let mut hear = |text: String| {
            if !text.is_empty() {
                listener.hear(text);
            }
            listener.listens()
        };
        for generated in 1..=most {
            let token = sampler.sample(&seat.context, -1);
            if vocab.is_eog(token) {
                hear(cutter.finish());
                done.finish = Some(FinishReason::Stop);
                return Ok(done);
            }
            done.usage.completion_tokens = generated as u64;
            bytes.clear();
            vocab.token_to_piece_into(token, &mut bytes, false, None);
            let (text, stopped) = cutter.push(&bytes);
            let listens = hear(text);
            if stopped {
                done.finish = Some(FinishReason::Stop);
                return Ok(done);
            }
            if !listens {
                return Ok(done);
            }
            // The last token is not read: nothing follows it.
            if generated < most {
                seat.decode(&[token], true)?;
            }
        }
        hear(cutter.finish());
        done.finish = Some(FinishReason::Length);
        Ok(done)
    }

    /// The seat of a conversation: its own, a new one, or the one that was not used for longest.
    fn take_seat(&mut self, name: &str) -> Result<Seat<'m>, ProviderError> {
        self.uses += 1;
        let own = self.seats.iter().position(|seat| seat.name == name);
        let most =
            (self.computing.cache_bytes / self.model.cache_bytes.max(1)).clamp(1, MOST_SEATS);
        let mut seat = match own {
            Some(at) => self.seats.swap_remove(at),
            None if (self.seats.len() as u64) < most => match self.new_seat() {
                Ok(seat) => seat,
                Err(error) => self.oldest_seat().ok_or(error)?,
            },
            None => match self.oldest_seat() {
                Some(seat) => seat,
                None => self.new_seat()?,
            },
        };
        if seat.name != name {
            name.clone_into(&mut seat.name);
        }
        seat.used = self.uses;
        Ok(seat)
    }

    fn oldest_seat(&mut self) -> Option<Seat<'m>> {
        let (at, _) = self
            .seats
            .iter()
            .enumerate()
            .min_by_key(|(_, seat)| seat.used)?;
        Some(self.seats.swap_remove(at))
    }

    fn new_seat(&self) -> Result<Seat<'m>, ProviderError> {
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(self.model.window))
            .with_n_batch(self.computing.batch)
            .with_n_ubatch(self.computing.batch)
            .with_n_threads(self.computing.threads)
            .with_n_threads_batch(self.computing.prompt_threads)
            .with_swa_full(true)
            .with_no_perf(true);
        let context = self
            .model
            .llama
            .new_context(backend()?, params)
            .map_err(|_| engine("there is not enough memory for the model's context"))?;
        Ok(Seat {
            name: String::new(),
            context,
            cached: Vec::new(),
            used: 0,
        })
    }
}

impl Seat<'_> {
    /// How much of a prompt is cached; at least its last token is read again, for what follows it.
    fn common(&self, prompt: &[LlamaToken]) -> usize {
        let pairs = self.cached.iter().zip(prompt);
        let same = pairs.take_while(|(cached, token)| cached == token).count();
        same.min(prompt.len().saturating_sub(1))
    }

    /// Keeps the beginning of the cache. Gives how much was kept: a model that cannot go back begins anew.
    fn keep(&mut self, tokens: usize) -> usize {
        if tokens == self.cached.len() {
            return tokens;
        }
        let from = u32::try_from(tokens).ok().filter(|&from| from > 0);
        let kept = from.is_some() && self.context.kv_cache_seq_rm(0, from, None).is_ok();
        let tokens = if kept { tokens } else { 0 };
        if !kept {
            self.context.clear_kv_cache();
        }
        self.cached.truncate(tokens);
        tokens
    }

    /// Reads the rest of a prompt. False when nobody listens any more.
    fn read(
        &mut self,
        tokens: &[LlamaToken],
        batch: usize,
        listener: &dyn Listener,
    ) -> Result<bool, ProviderError> {
        let mut parts = tokens.chunks(batch).peekable();
        while let Some(part) = parts.next() {
            if !listener.listens() {
                return Ok(false);
            }
            self.decode(part, parts.peek().is_none())?;
        }
        Ok(listener.listens())
    }

    fn decode(&mut self, tokens: &[LlamaToken], answers: bool) -> Result<(), ProviderError> {
        let failed = |what: &dyn std::fmt::Display| engine(format!("llama.cpp failed: {what}"));
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        for (index, token) in tokens.iter().enumerate() {
            let position = i32::try_from(self.cached.len() + index).map_err(|e| failed(&e))?;
            let last = answers && index + 1 == tokens.len();
            batch
                .add(*token, position, &[0], last)
                .map_err(|e| failed(&e))?;
        }
        self.context.decode(&mut batch).map_err(|e| failed(&e))?;
        self.cached.extend_from_slice(tokens);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_any_size_are_folded_and_none_means_any() {
        assert_eq!(fold(7), 7);
        assert_ne!(fold(7), fold(7 << 32 | 1));
        assert_ne!(fold(u64::from(u32::MAX)), u32::MAX);
    }

    #[test]
    fn odd_sampling_is_put_within_its_bounds() {
        let request = ChatRequest {
            temperature: Some(f32::NAN),
            top_p: Some(7.0),
            repeat_penalty: Some(0.0),
            ..ChatRequest::default()
        };
        let sampling = Sampling::of(&request);
        assert!((sampling.temperature - TEMPERATURE).abs() < f32::EPSILON);
        assert!((sampling.top_p - 1.0).abs() < f32::EPSILON);
        assert!(sampling.repeat_penalty > 0.0);
    }
}
