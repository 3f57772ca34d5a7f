//! What picks the tokens shows in what is said: each answer here is repeatable.

use std::collections::BTreeSet;

use super::*;

fn story(top_p: f32, seed: u64) -> ChatRequest {
    ChatRequest {
        temperature: Some(2.0),
        top_p: Some(top_p),
        seed: Some(seed),
        max_tokens: Some(24),
        ..ask("Tell me a story about a boat.")
    }
}

#[tokio::test]
async fn local_model_chooses_among_as_many_tokens_as_top_p_says() {
    let local = local();
    let likeliest = ChatRequest {
        temperature: Some(0.0),
        ..story(1.0, 1)
    };
    let likeliest = say(&local, likeliest).await.text;
    let mut texts = BTreeSet::from([likeliest.clone()]);
    for seed in 1..=4 {
        // However hot: only one is left.
        assert_eq!(say(&local, story(0.0, seed)).await.text, likeliest);
        texts.insert(say(&local, story(1.0, seed)).await.text);
    }
    assert_eq!(texts.len(), 5, "{texts:?}");
}

#[tokio::test]
async fn local_model_repeats_itself_less_when_repeating_is_penalised() {
    let local = local();
    let with = |penalty| ChatRequest {
        repeat_penalty: Some(penalty),
        temperature: Some(0.0),
        max_tokens: Some(64),
        ..ask("Repeat the word boat again and again, without an end.")
    };
    let plain = say(&local, with(1.0)).await.text;
    assert_eq!(say(&local, with(1.0)).await.text, plain);
    // What it was asked about is what was said before: it comes back, unless that costs.
    assert!(plain.contains("boat"), "{plain:?}");
    let penalised = say(&local, with(2.0)).await.text;
    assert!(!penalised.contains("boat"), "{penalised:?}");
}
