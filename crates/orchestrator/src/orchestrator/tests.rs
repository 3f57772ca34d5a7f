use super::*;
use crate::provider::{Chunk, Role};
use kernel::{Actor, Ids, Roles};
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
