use super::*;
use crate::provider::{Chunk, Role, TimeoutKind};
use kernel::{Actor, Ids, Roles};
use std::time::Duration;
use testkit::upstream::Upstream;

fn options(text: &str) -> Options {
    toml::from_str(text).unwrap()
}

fn start(text: &str) -> Orchestrator {
    let nowhere = Path::new("/nowhere");
    Orchestrator::with_env(&options(text), nowhere, &|_| None).unwrap()
}

fn caller(roles: &[AccountRole]) -> Context {
    let ids = Ids::new(kernel::Clock::system(), kernel::Random::system());
    let actor = Actor::Account {
        id: ids.next(),
        session: ids.next(),
        roles: Roles::of(roles),
    };
    Context::new(ids.next(), actor, ids.next())
}

const TWO: &str = r#"
    [[providers]]
    name = "mine"
    base_url = "http://127.0.0.1:9"
    [[models]]
    id = "unpriced"
    context_window = 100
    deployments = [{ provider = "mine" }]
    [[models]]
    id = "priced"
    context_window = 100
    input_price = 1
    output_price = 2
    deployments = [{ provider = "mine" }]
    [[models]]
    id = "vectors"
    kind = "embedding"
    context_window = 100
    input_price = 1
    output_price = 0
    deployments = [{ provider = "mine" }]
"#;

#[tokio::test]
async fn a_model_without_a_price_is_for_admins_only() {
    let orchestrator = start(TWO);
    let (user, admin) = (caller(&[AccountRole::User]), caller(&[AccountRole::Admin]));
    let ids = |ctx| {
        orchestrator
            .models(ctx)
            .iter()
            .map(|model| model.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&user), ["priced", "vectors"]);
    assert_eq!(ids(&admin), ["unpriced", "priced", "vectors"]);
    assert_eq!(orchestrator.default_model(&user).unwrap().id, "priced");
    assert_eq!(orchestrator.default_model(&admin).unwrap().id, "unpriced");
    assert_eq!(orchestrator.prices().len(), 2);
    for id in ["unpriced", "absent", "", "vectors", "PRICED"] {
        let error = orchestrator.model(&user, id).unwrap_err();
        assert!(error.is(codes::INVALID_MODEL));
        assert_eq!(
            (error.kind().http_status(), error.detail()),
            (400, "Invalid or unsupported model ID")
        );
    }
    assert_eq!(
        orchestrator.model(&admin, "unpriced").unwrap().id,
        "unpriced"
    );
}

#[tokio::test]
async fn without_any_model_it_says_what_to_do() {
    let orchestrator = start("");
    let user = caller(&[AccountRole::User]);
    for error in [
        orchestrator.model(&user, "x").unwrap_err(),
        orchestrator.default_model(&user).unwrap_err(),
    ] {
        assert!(error.is(codes::NO_MODEL) && error.detail().contains("OPENAI_API_KEY"));
    }
    assert!(orchestrator.models(&user).is_empty());
}

#[tokio::test]
async fn a_call_goes_to_the_first_deployment_and_counts_are_openais() {
    let upstream = Upstream::start().await;
    let orchestrator = start(&upstream.config(&["fast"]));
    let user = caller(&[AccountRole::User]);
    let model = orchestrator.model(&user, "fast").unwrap();
    let messages = vec![ChatMessage::new(Role::User, "hello")];
    assert_eq!(orchestrator.count_prompt(&model, &messages).await, 8);
    assert_eq!(orchestrator.count_text(&model, "hello").await, 1);
    assert_eq!(Orchestrator::count_texts_upper_bound(["hello", "é"]), 7);

    let request = ChatRequest {
        messages,
        ..ChatRequest::default()
    };
    let (route, mut chunks) = orchestrator.chat(&model, request).await.unwrap();
    assert_eq!(
        (route.provider.as_str(), route.deployment.as_str()),
        ("upstream", "fast")
    );
    let mut text = String::new();
    while let Some(chunk) = chunks.next().await {
        if let Chunk::Text(more) = chunk.unwrap() {
            text += &more;
        }
    }
    assert_eq!(text, "w0 w1 w2 w3 w4 w5 w6 w7 ");
}

#[tokio::test]
async fn answers_are_no_longer_than_the_model_can() {
    let upstream = Upstream::start().await;
    let text = upstream
        .config(&["fast"])
        .replace("context_window", "max_output_tokens = 3\ncontext_window");
    let orchestrator = start(&text);
    let model = orchestrator
        .default_model(&caller(&[AccountRole::User]))
        .unwrap();
    for (asked, sent) in [(None, None), (Some(2), Some("2")), (Some(5), Some("3"))] {
        let prompt = format!("limit {asked:?}");
        let request = ChatRequest {
            messages: vec![ChatMessage::new(Role::User, prompt.as_str())],
            max_tokens: asked,
            ..ChatRequest::default()
        };
        drop(orchestrator.chat(&model, request).await.unwrap());
        let body = &upstream.requests_with(&prompt)[0].body;
        let found = body
            .split_once("\"max_tokens\":")
            .map(|(_, rest)| &rest[..1]);
        assert_eq!(found, sent, "{body}");
    }
}

/// The configured patience counts: that for the first byte is over later, the usual one for a connection
/// later still.
#[tokio::test]
async fn a_provider_that_takes_no_connection_in_time_is_given_up() {
    let port = testkit::FullPort::open().await;
    let text = TWO
        .replace("127.0.0.1:9", &port.address().to_string())
        .replacen(
            "[[models]]",
            "connect_timeout = '200ms'\nfirst_byte_timeout = '4s'\n[[models]]",
            1,
        );
    for stream in ["true", "false"] {
        let one = "{ provider = \"mine\" }";
        let text = text.replace(
            one,
            &format!("{{ provider = \"mine\", stream = {stream} }}"),
        );
        let orchestrator = start(&text);
        let model = orchestrator
            .model(&caller(&[AccountRole::User]), "priced")
            .unwrap();
        let request = ChatRequest {
            messages: vec![ChatMessage::new(Role::User, "Hello")],
            ..ChatRequest::default()
        };
        let begun = std::time::Instant::now();
        let error = orchestrator.chat(&model, request).await.err().unwrap();
        assert_eq!(
            error.kind,
            ProviderErrorKind::Timeout(TimeoutKind::Connect),
            "{error}"
        );
        assert!(begun.elapsed() >= Duration::from_millis(200));
        let told = kernel::Error::from(error);
        assert!(told.is(codes::PROVIDER_TIMEOUT));
        assert_eq!(told.kind().http_status(), 504);
    }
}

/// The state after one call with this prompt.
async fn state_after(orchestrator: &Orchestrator, model: &Model, prompt: &str) -> ModelState {
    let request = ChatRequest {
        messages: vec![ChatMessage::new(Role::User, prompt)],
        ..ChatRequest::default()
    };
    if let Ok((_, mut chunks)) = orchestrator.chat(model, request).await {
        while chunks.next().await.is_some() {}
    }
    orchestrator.state(model)
}

#[tokio::test]
async fn a_providers_failures_are_remembered_until_it_answers() {
    use {ModelState as S, Trouble as T};
    let upstream = Upstream::start().await;
    let orchestrator = start(&upstream.config(&["fast"]));
    let model = orchestrator
        .default_model(&caller(&[AccountRole::User]))
        .unwrap();
    assert_eq!(orchestrator.state(&model), S::Available);
    for (prompt, state) in [
        ("!script status=401", S::Unavailable(T::KeyRefused)),
        ("Hello", S::Available),
        ("!script status=500", S::Unavailable(T::Failing)),
        ("Hello", S::Available),
        ("!script cut=3", S::Unavailable(T::Failing)),
        (
            "!script status=400 code=context_length_exceeded",
            S::Unavailable(T::Failing),
        ),
        ("Hello", S::Available),
        ("!script status=400", S::Available),
        ("!script status=429", S::Unavailable(T::Overloaded)),
        ("Hello", S::Available),
        ("!script status=503 retry_after=0", S::Available),
    ] {
        let after = state_after(&orchestrator, &model, prompt).await;
        assert_eq!(after, state, "{prompt}");
    }
    let orchestrator = start(TWO);
    let admin = caller(&[AccountRole::Admin]);
    let models = orchestrator.models(&admin);
    let after = state_after(&orchestrator, &models[0], "Hello").await;
    assert_eq!(after, S::Unavailable(T::Unreachable));
    assert_eq!(
        orchestrator.state(&models[1]),
        after,
        "its provider serves that one, too"
    );
}

#[tokio::test]
async fn a_local_model_without_its_file_or_with_a_damaged_one_is_unavailable() {
    use {ModelState as S, Trouble as T};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("models/here.gguf");
    std::fs::create_dir(directory.path().join("models")).unwrap();
    std::fs::write(&file, b"no model at all").unwrap();
    let text =
        "[[models]]\nid = 'gone'\ncontext_window = 100\ndeployments = [{ provider = 'local' }]";
    let orchestrator = Orchestrator::with_env(&options(text), directory.path(), &|_| None).unwrap();
    let admin = caller(&[AccountRole::Admin]);
    let models = orchestrator.models(&admin);
    let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["gone", "here"]);
    let missing = S::Unavailable(T::FileMissing);
    assert_eq!(orchestrator.state(&models[0]), missing);
    assert_eq!(orchestrator.state(&models[1]), S::Cold);
    let after = state_after(&orchestrator, &models[1], "Hello").await;
    assert_eq!(after, S::Unavailable(T::NotLoadable));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(orchestrator.state(&models[1]), missing);
}
