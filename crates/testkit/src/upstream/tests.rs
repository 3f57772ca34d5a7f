use super::*;
use serde_json::{Value, json};

async fn ask(
    upstream: &Upstream,
    prompt: &str,
    stream: bool,
) -> reqwest::Result<reqwest::Response> {
    let body = json!({
        "model": "fast", "stream": stream, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": prompt }],
    });
    let client = reqwest::Client::builder().no_proxy().build()?;
    client
        .post(format!("{}/chat/completions", upstream.url()))
        .json(&body)
        .send()
        .await
}

fn tls() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

#[tokio::test]
async fn answers_whole_and_streamed() {
    tls();
    let upstream = Upstream::start().await;
    let whole: Value = ask(&upstream, "one two !script tokens=3", false)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "w0 w1 w2 ");
    assert_eq!(
        whole["usage"],
        json!({ "prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11 })
    );

    let text = ask(&upstream, "!script tokens=2 delay=1ms", true)
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let events: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(events.len(), 6, "{text}");
    assert_eq!(events[5], "[DONE]");
    let request = upstream
        .wait_for(|request| request.prompt.contains("delay") && request.done)
        .await;
    assert_eq!((request.tokens, request.aborted), (2, false));
}

#[tokio::test]
async fn fails_as_told_and_only_as_often() {
    tls();
    let upstream = Upstream::start().await;
    let prompt = "!script status=429 retry_after=3 times=1";
    let first = ask(&upstream, prompt, true).await.unwrap();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["retry-after"]),
        (429, &"3".parse().unwrap())
    );
    assert_eq!(ask(&upstream, prompt, true).await.unwrap().status(), 200);
    assert!(
        ask(&upstream, "!script cut=1", true)
            .await
            .unwrap()
            .text()
            .await
            .is_err()
    );
    assert!(ask(&upstream, "!script refuse", true).await.is_err());
    assert_eq!(
        ask(&upstream, "!script nonsense", true)
            .await
            .unwrap()
            .status(),
        400
    );
}

#[tokio::test]
async fn notices_a_client_that_goes_away() {
    tls();
    let upstream = Upstream::start().await;
    let mut answer = ask(&upstream, "!script tokens=1000 delay=5ms", true)
        .await
        .unwrap();
    answer.chunk().await.unwrap();
    drop(answer);
    let request = upstream.wait_for(|request| request.aborted).await;
    assert!(request.tokens < 1000 && !request.done);
}
