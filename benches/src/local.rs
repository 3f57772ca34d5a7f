//! The local provider, through its queue, templates and cutter, against a bare
//! llama.cpp loop: the same file and thread counts, greedy, prompts that nothing
//! has cached. The loop runs in a process of its own, round by round in turn
//! with the provider, so that what else the machine does meets both.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use llama_cpp_2::{
    context::params::LlamaContextParams,
    llama_backend::LlamaBackend,
    llama_batch::LlamaBatch,
    model::{LlamaModel, params::LlamaModelParams},
    sampling::LlamaSampler,
};
use orchestrator::{ChatMessage, ChatRequest, Chunk, Local, LocalOptions, Provider, Role};
use tokio::process::Command;

use crate::store::{Failed, text};

const MODEL: &str = "SmolLM2-135M-Instruct";
/// Tokens of each answer.
const ANSWER: u32 = 128;

/// Tokens a second of one answer.
#[derive(Debug, Clone, Copy, Default)]
struct Speed {
    prompt: f64,
    answer: f64,
}

/// Prints a table for one thread and for all cores.
///
/// # Errors
/// A sentence, when the model is missing or cannot be run.
pub async fn run() -> Failed<()> {
    let directory = std::env::var_os("TERTULIA_TEST_MODELS_DIR")
        .map(PathBuf::from)
        .ok_or("TERTULIA_TEST_MODELS_DIR does not say where the model is; `make bench` does")?;
    let file = directory.join(format!("{MODEL}.gguf"));
    if !file.is_file() {
        let file = file.display();
        return Err(format!("{file} is missing; `make bench` fetches it"));
    }
    let rounds = std::env::var("BENCH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(5);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\nLocal model {MODEL}, the provider against llama.cpp by itself (goal: 0.6 of its speed)"
    );
    println!(
        "  threads   prompt tokens/s: ours  llama.cpp  ratio   answer: ours  llama.cpp  ratio"
    );
    let mut counts = vec![1, u32::try_from(cores).map_err(text)?];
    counts.dedup();
    for threads in counts {
        let (ours, theirs) = compare(&file, threads, rounds).await?;
        println!(
            "  {threads:>7} {:>23.0} {:>10.0}  {:>5.2} {:>14.0} {:>10.0}  {:>5.2}",
            ours.prompt,
            theirs.prompt,
            ours.prompt / theirs.prompt,
            ours.answer,
            theirs.answer,
            ours.answer / theirs.answer,
        );
    }
    Ok(())
}

/// The median speeds of the provider and of the loop.
async fn compare(file: &Path, threads: u32, rounds: u32) -> Failed<(Speed, Speed)> {
    let options = LocalOptions {
        threads,
        prompt_threads: threads,
        ..LocalOptions::default()
    };
    let directory = file.parent().unwrap_or(file).to_owned();
    let local = Local::new(&options, directory, HashMap::new());
    local.warm(MODEL).await.map_err(text)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds.max(1) {
        theirs.push(other_process(file, threads, round).await?);
        ours.push(provided(&local, round).await?);
    }
    local.shutdown().await;
    Ok((median(&ours), median(&theirs)))
}

fn median(speeds: &[Speed]) -> Speed {
    let middle = |of: fn(&Speed) -> f64| {
        let mut all: Vec<f64> = speeds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Speed {
        prompt: middle(|speed| speed.prompt),
        answer: middle(|speed| speed.answer),
    }
}

/// Some 400 tokens that begin differently each time.
fn prompt(round: u32) -> String {
    let text =
        "The library has many books about the history of the town and its people. ".repeat(24);
    format!("{round}. Tell a long story about this. {text}")
}

/// Speeds from token counts; the first token of the answer comes with the prompt.
fn speed(prompt: u64, first: Duration, answer: u64, all: Duration) -> Speed {
    let rate = |tokens: u64, took: Duration| {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let tokens = tokens as f64;
        tokens / took.as_secs_f64()
    };
    Speed {
        prompt: rate(prompt, first),
        answer: rate(answer.saturating_sub(1), all.saturating_sub(first)),
    }
}

async fn provided(local: &Local, round: u32) -> Failed<Speed> {
    let request = ChatRequest {
        messages: vec![ChatMessage::new(Role::User, prompt(round))],
        max_tokens: Some(ANSWER),
        temperature: Some(0.0),
        owner: "bench".to_owned(),
        affinity: Some(round.to_string()),
        ..ChatRequest::default()
    };
    let begun = Instant::now();
    let mut answer = local.chat(MODEL, request).await.map_err(text)?;
    let (mut first, mut usage) = (None, None);
    while let Some(chunk) = answer.next().await {
        match chunk.map_err(text)? {
            Chunk::Text(_) => {
                first.get_or_insert_with(|| begun.elapsed());
            }
            Chunk::Usage(used) => usage = Some(used),
            Chunk::Finish(_) => {}
        }
    }
    let all = begun.elapsed();
    let (first, usage) = first.zip(usage).ok_or("the model said nothing")?;
    Ok(speed(
        usage.prompt_tokens,
        first,
        usage.completion_tokens,
        all,
    ))
}

/// One round of [`bare`], elsewhere: the engine can be begun only once in a process.
async fn other_process(file: &Path, threads: u32, round: u32) -> Failed<Speed> {
    let output = Command::new(std::env::current_exe().map_err(text)?)
        .arg("local-bare")
        .arg(file)
        .args([threads.to_string(), round.to_string()])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(text)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = said.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(prompt)), Some(Ok(answer))) => Ok(Speed { prompt, answer }),
        _ => Err(format!("the bare loop failed ({})", output.status)),
    }
}

/// `benches local-bare FILE THREADS ROUND`: prints prompt and answer tokens a second.
///
/// # Errors
/// A sentence, when the model cannot be run.
pub fn bare(arguments: &[String]) -> Failed<()> {
    let [file, threads, round] = arguments else {
        return Err("usage: benches local-bare FILE THREADS ROUND".to_owned());
    };
    let threads = threads.parse().map_err(text)?;
    let mut backend = LlamaBackend::init().map_err(text)?;
    backend.void_logs();
    let model = LlamaModel::load_from_file(&backend, file, &LlamaModelParams::default());
    let model = model.map_err(text)?;
    // As llama.cpp has it but for the threads: batches of 512 prompt tokens.
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(2048))
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(&backend, params).map_err(text)?;
    let asked = prompt(round.parse().map_err(text)?);
    let asked = format!("<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n");

    let begun = Instant::now();
    let vocab = model.vocab();
    let tokens = vocab.tokenize(asked.as_bytes(), false, true);
    let mut batch = LlamaBatch::get_one(&tokens).map_err(text)?;
    context.decode(&mut batch).map_err(text)?;
    let mut sampler = LlamaSampler::greedy();
    let mut token = sampler.sample(&context, -1);
    let first = begun.elapsed();
    let mut said = vocab.token_to_piece(token, false, None);
    // The end that the model may want is not kept, so that every round is as long.
    for _ in 1..ANSWER {
        let next = [token];
        let mut batch = LlamaBatch::get_one(&next).map_err(text)?;
        context.decode(&mut batch).map_err(text)?;
        token = sampler.sample(&context, -1);
        said.extend(vocab.token_to_piece(token, false, None));
    }
    let all = begun.elapsed();
    if said.is_empty() {
        return Err("the model said nothing".to_owned());
    }
    let measured = speed(tokens.len() as u64, first, ANSWER.into(), all);
    println!("{} {}", measured.prompt, measured.answer);
    Ok(())
}
