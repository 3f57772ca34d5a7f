//! How fast the local provider reads a prompt and generates, in tokens a second, through the provider as the platform
//! uses it: `cargo run --release -p orchestrator --example local_speed -- <models directory> [threads] [prompt threads]`.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement for people"
)]

use std::{collections::HashMap, error::Error, path::PathBuf, time::Instant};

use futures_util::StreamExt;
use orchestrator::{ChatMessage, ChatRequest, Chunk, Local, LocalOptions, Provider, Role};

const MODEL: &str = "SmolLM2-135M-Instruct";
const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("the models directory is missing")?);
    let mut number = || arguments.next().map_or(Ok(0), |text| text.parse());
    let options = LocalOptions {
        threads: number()?,
        prompt_threads: number()?,
        ..LocalOptions::default()
    };
    let local = Local::new(&options, directory, HashMap::new());
    let begun = Instant::now();
    local.warm(MODEL).await?;
    println!("loaded in {:.2?}", begun.elapsed());
    let (mut prompts, mut answers) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (prompt, answer) = measure(&local, round).await?;
        println!("round {round}: prompt {prompt:.0} tokens/s, answer {answer:.0} tokens/s");
        prompts.push(prompt);
        answers.push(answer);
    }
    prompts.sort_by(f64::total_cmp);
    answers.sort_by(f64::total_cmp);
    println!(
        "median: prompt {:.0} tokens/s, answer {:.0} tokens/s",
        prompts[ROUNDS / 2],
        answers[ROUNDS / 2]
    );
    local.shutdown().await;
    Ok(())
}

/// Prompt and answer tokens a second of one call with a prompt that is not cached.
async fn measure(local: &Local, round: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let text =
        "The library has many books about the history of the town and its people. ".repeat(24);
    let request = ChatRequest {
        messages: vec![ChatMessage::new(
            Role::User,
            format!("{round}. Tell a long story about this. {text}"),
        )],
        max_tokens: Some(128),
        temperature: Some(0.0),
        owner: "speed".to_owned(),
        affinity: Some(round.to_string()),
        ..ChatRequest::default()
    };
    let begun = Instant::now();
    let mut answer = local.chat(MODEL, request).await?;
    let mut first = None;
    let mut usage = None;
    while let Some(chunk) = answer.next().await {
        match chunk? {
            Chunk::Text(_) => {
                first.get_or_insert_with(|| begun.elapsed());
            }
            Chunk::Usage(used) => usage = Some(used),
            Chunk::Finish(_) => {}
        }
    }
    let all = begun.elapsed();
    let (first, usage) = first.zip(usage).ok_or("no answer")?;
    // The first token comes with the prompt.
    let generated = usage.completion_tokens.saturating_sub(1) as f64;
    Ok((
        usage.prompt_tokens as f64 / first.as_secs_f64(),
        generated / (all - first).as_secs_f64(),
    ))
}
