use super::*;
use crate::provider::{Role, TokenUsage};
use std::time::Duration;
use testkit::upstream::{Script, Upstream};

fn request(prompt: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![ChatMessage::new(Role::User, prompt)],
        ..ChatRequest::default()
    }
}

/// Gives up soon, for the tests of what happens then.
fn provider(url: &str) -> OpenAi {
    within(url, Duration::from_secs(1))
}

/// Never gives up, however busy the machine is.
fn patient(url: &str) -> OpenAi {
    within(url, Duration::from_secs(60))
}

fn within(url: &str, time: Duration) -> OpenAi {
    let endpoint = Endpoint {
        url: format!("{url}/chat/completions"),
        authorization: Some(HeaderValue::from_static("Bearer test-key")),
        first_byte: time,
        idle: time,
    };
    OpenAi::new(net::Client::new(time).unwrap(), endpoint)
}

#[derive(Debug, PartialEq)]
struct Read {
    text: String,
    usage: Option<TokenUsage>,
    end: Result<FinishReason, ProviderErrorKind>,
}

async fn ask(provider: &OpenAi, request: ChatRequest) -> Read {
    let mut read = Read {
        text: String::new(),
        usage: None,
        end: Err(ProviderErrorKind::Cancelled),
    };
    let mut chunks = match provider.chat("fast", request).await {
        Ok(chunks) => chunks,
        Err(error) => {
            return Read {
                end: Err(error.kind),
                ..read
            };
        }
    };
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(Chunk::Text(text)) => read.text += &text,
            Ok(Chunk::Usage(usage)) => read.usage = Some(usage),
            Ok(Chunk::Finish(finish)) => read.end = Ok(finish),
            Err(error) => read.end = Err(error.kind),
        }
    }
    read
}

#[tokio::test]
async fn answers_arrive_whole_however_they_are_sent() {
    let upstream = Upstream::start().await;
    for streamed in [true, false] {
        let provider = if streamed {
            patient(&upstream.url())
        } else {
            patient(&upstream.url()).whole()
        };
        for words in [
            "",
            "delay=2ms",
            "split=1",
            "split=3 crlf comments",
            "unicode split=5",
            "reasoning=4",
        ] {
            let words = format!("tokens=3 {words}");
            let script = Script::default().with(&words).unwrap();
            let read = ask(&provider, request(&format!("!script {words}"))).await;
            assert_eq!(read.text, script.answer(3), "{words}");
            assert_eq!(read.end, Ok(FinishReason::Stop), "{words}");
            assert_eq!(
                read.usage.unwrap().completion_tokens,
                3 + script.reasoning,
                "{words}"
            );
        }
    }
    let seen = &upstream.requests()[0];
    assert_eq!(seen.authorization.as_deref(), Some("Bearer test-key"));
    assert_eq!(seen.model, "fast");
}

#[tokio::test]
async fn limits_and_reasons_and_usage_are_passed_on() {
    let upstream = Upstream::start().await;
    for provider in [provider(&upstream.url()), provider(&upstream.url()).whole()] {
        let limited = ChatRequest {
            max_tokens: Some(3),
            ..request("!script tokens=9")
        };
        let read = ask(&provider, limited).await;
        assert_eq!(
            (read.text.as_str(), read.end),
            ("w0 w1 w2 ", Ok(FinishReason::Length))
        );
        let filtered = ask(&provider, request("!script tokens=1 finish=content_filter")).await;
        assert_eq!(filtered.end, Ok(FinishReason::ContentFilter));
        for words in ["usage=none", "usage=zero"] {
            let read = ask(&provider, request(&format!("!script {words}"))).await;
            assert_eq!(
                (read.usage, read.end),
                (None, Ok(FinishReason::Stop)),
                "{words}"
            );
        }
    }
}

#[tokio::test]
async fn every_failure_has_its_kind() {
    use ProviderErrorKind as K;
    let upstream = Upstream::start().await;
    let wait = Some(Duration::from_secs(3));
    // What is asked, and how it ends when streamed and when whole.
    let cases = [
        (
            "hang",
            K::Timeout(TimeoutKind::FirstByte),
            K::Timeout(TimeoutKind::FirstByte),
        ),
        ("refuse", K::Cut, K::Cut),
        (
            "stall=2 delay=1ms",
            K::Timeout(TimeoutKind::Idle),
            K::Timeout(TimeoutKind::FirstByte),
        ),
        ("cut=2", K::Cut, K::Cut),
        ("cut=2 delay=1ms", K::Cut, K::Cut),
        ("garbage=2", K::Malformed, K::Malformed),
        (
            "error=2 code=rate_limit_exceeded",
            K::RateLimited { retry_after: None },
            K::RateLimited { retry_after: None },
        ),
        ("error=0", K::Upstream(200), K::Upstream(200)),
        ("finish=error", K::Upstream(200), K::Upstream(200)),
        ("status=401", K::Auth, K::Auth),
        (
            "status=429 retry_after=3",
            K::RateLimited { retry_after: wait },
            K::RateLimited { retry_after: wait },
        ),
        (
            "status=503",
            K::Overloaded { retry_after: None },
            K::Overloaded { retry_after: None },
        ),
        ("status=500", K::Upstream(500), K::Upstream(500)),
        ("status=302", K::Upstream(302), K::Upstream(302)),
        (
            "status=400 code=context_length_exceeded",
            K::ContextTooLong,
            K::ContextTooLong,
        ),
        (
            "status=404 code=model_not_found",
            K::UnknownModel,
            K::UnknownModel,
        ),
    ];
    let (streamed, whole) = (provider(&upstream.url()), provider(&upstream.url()).whole());
    for (words, when_streamed, when_whole) in cases {
        let prompt = format!("!script tokens=5 {words}");
        let read = ask(&streamed, request(&prompt)).await;
        assert_eq!(read.end, Err(when_streamed), "{words}");
        assert!(
            "w0 w1 w2 w3 w4 ".starts_with(&read.text),
            "{words}: {}",
            read.text
        );
        assert_eq!(
            ask(&whole, request(&prompt)).await.end,
            Err(when_whole),
            "{words}, whole"
        );
    }
    let unfinished = ask(&streamed, request("!script tokens=5 no_done")).await;
    assert_eq!(
        (unfinished.text.len(), unfinished.end),
        (15, Err(K::Cut)),
        "all of it came, but not its end"
    );
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_a_failed_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let read = ask(&provider(&format!("http://{address}/v1")), request("hello")).await;
    assert_eq!(read.end, Err(ProviderErrorKind::Connect));
}

#[tokio::test]
async fn dropping_the_answer_ends_the_call_upstream() {
    let upstream = Upstream::start().await;
    let provider = provider(&upstream.url());
    let mut chunks = provider
        .chat("fast", request("!script tokens=1000 delay=5ms"))
        .await
        .unwrap();
    assert!(matches!(chunks.next().await, Some(Ok(Chunk::Text(_)))));
    drop(chunks);
    let seen = upstream.wait_for(|request| request.aborted).await;
    assert!(seen.tokens < 1000);

    let call = provider.chat("fast", request("!script hang\nstopped"));
    tokio::time::timeout(Duration::from_millis(50), call)
        .await
        .err()
        .expect("it hangs");
    upstream
        .wait_for(|request| request.aborted && request.prompt.contains("stopped"))
        .await;
}

#[tokio::test]
async fn a_slow_reader_is_not_a_stalled_provider() {
    let upstream = Upstream::start().await;
    let mut chunks = within(&upstream.url(), Duration::from_millis(300))
        .chat("fast", request("!script tokens=40 delay=5ms"))
        .await
        .unwrap();
    chunks.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut last = None;
    while let Some(chunk) = chunks.next().await {
        last = Some(chunk.unwrap());
    }
    assert_eq!(last, Some(Chunk::Finish(FinishReason::Stop)));
}

#[tokio::test]
async fn connections_are_used_again_after_an_answer() {
    let upstream = Upstream::start().await;
    let provider = provider(&upstream.url());
    for _ in 0..20 {
        assert_eq!(
            ask(&provider, request("hello")).await.end,
            Ok(FinishReason::Stop)
        );
        assert_eq!(
            ask(&provider.whole(), request("hello")).await.end,
            Ok(FinishReason::Stop)
        );
    }
    assert_eq!(upstream.connections(), 1);
}
