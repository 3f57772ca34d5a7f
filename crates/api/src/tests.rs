//! The router over the real parts, on a database of its own, without a model.

use std::{collections::BTreeSet, sync::Arc};

use axum::{body::Body, extract::Request};
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use kernel::{Clock, Context, Ids, Random};
use serde_json::{Value, json};
use state::State;
use store::{Env, Store};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{App, Options, Parts, routes, serve};

struct House {
    router: axum::Router,
    app: App,
    shutdown: CancellationToken,
    _directory: tempfile::TempDir,
}

struct Answered {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Value,
}

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "a long enough password";

async fn house(change: impl FnOnce(&mut Options)) -> House {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let env = Env {
        clock: clock.clone(),
        ids: Ids::new(clock.clone(), Random::system()),
    };
    let at = store::Options::Sqlite {
        directory: directory.path().to_owned(),
        readers: 2,
    };
    let migrations = [
        security::MIGRATIONS,
        accounting::MIGRATIONS,
        runs::MIGRATIONS,
        conversations::MIGRATIONS,
    ];
    let store = Store::open(&at, env, &migrations).await.unwrap();
    let state = State::memory(clock);
    let mut limits = security::Options::default();
    limits.rate_limit.sign_in.requests = 3;
    let security = security::Security::open(store.clone(), state.clone(), Random::system(), limits);
    let security = security.await.unwrap();
    let system = Context::system("test", security.default_tenant().id, store.env().ids.next());
    let password = Some(security::Secret::new(PASSWORD));
    security
        .bootstrap(&system, Some(EMAIL.into()), password)
        .await
        .unwrap();
    let accounting =
        accounting::Accounting::new(store.clone(), state.clone(), accounting::Options::default());
    let runs = runs::Runs::new(store.clone(), state.clone(), runs::Options::default());
    let none = directory.path().join("no models");
    let orchestrator =
        orchestrator::Orchestrator::new(&orchestrator::Options::default(), &none).unwrap();
    let conversations = conversations::Conversations::new(
        store.clone(),
        state.clone(),
        Random::system(),
        conversations::Options::default(),
    );
    let chat = chat::Chat::new(
        store.clone(),
        accounting.clone(),
        runs.clone(),
        orchestrator.clone(),
        conversations.clone(),
        chat::Options::default(),
    );
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .build_recorder()
        .handle();
    let parts = Parts {
        store,
        security,
        accounting,
        runs,
        orchestrator,
        conversations,
        chat,
        state,
        metrics,
    };
    let mut options = Options::default();
    change(&mut options);
    let shutdown = CancellationToken::new();
    let app = App::new(parts, options, shutdown.clone());
    House {
        router: routes::router(&app),
        app,
        shutdown,
        _directory: directory,
    }
}

impl House {
    async fn send(&self, request: Request) -> Answered {
        let peer = Some("127.0.0.1:5".parse().unwrap());
        let response = self
            .router
            .clone()
            .oneshot(serve::arrive(request, peer))
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answered {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> Answered {
        let mut request = http::Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    async fn token(&self) -> String {
        let body = json!({"email": EMAIL, "password": PASSWORD});
        let answered = self.call(Method::POST, "/api/auth/login", "", body).await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        answered.body["access_token"].as_str().unwrap().to_owned()
    }
}

fn get(path: &str) -> Request {
    http::Request::builder()
        .uri(path)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn everything_unknown_is_a_problem() {
    let house = house(|_| {}).await;
    let answered = house.send(get("/api/nothing/here")).await;
    assert_eq!(answered.status, 404);
    assert_eq!(answered.headers["content-type"], "application/problem+json");
    assert_eq!(answered.body["instance"], "/api/nothing/here");
    assert_eq!(
        answered.body["request_id"],
        answered.headers["x-request-id"].to_str().unwrap()
    );
    assert_eq!(answered.headers["x-content-type-options"], "nosniff");

    let answered = house
        .call(Method::DELETE, "/auth/login", "", Value::Null)
        .await;
    assert_eq!(answered.status, 405);
    assert_eq!(answered.headers["allow"], "POST");
    assert_eq!(answered.body["code"], "method_not_allowed");

    let page = answered.body["type"].as_str().unwrap();
    assert_eq!(house.send(get(page)).await.status, 200);
    assert_eq!(house.send(get("/docs/errors/%FF")).await.status, 404);
}

#[tokio::test]
async fn who_is_not_ready_says_why_and_when_to_ask_again() {
    let house = house(|_| {}).await;
    let ready = house.send(get("/ready")).await;
    assert_eq!(
        (ready.status, &ready.body),
        (StatusCode::OK, &json!("ready"))
    );
    house.app.store().clone().close().await;
    let down = house.send(get("/ready")).await;
    house.shutdown.cancel();
    let stopping = house.send(get("/api/ready")).await;
    for (answered, code) in [(down, "database_unavailable"), (stopping, "shutting_down")] {
        assert_eq!(
            (answered.status.as_u16(), &answered.body["code"]),
            (503, &json!(code))
        );
        assert_eq!(answered.headers["content-type"], "application/problem+json");
        assert_eq!(answered.headers["retry-after"], "1");
    }
    let health = house.send(get("/health")).await;
    assert_eq!(
        (health.status.as_u16(), &health.body["status"]),
        (503, &json!("unavailable"))
    );
    assert_eq!(health.headers["retry-after"], "1");
}

#[tokio::test]
async fn panics_are_caught() {
    let house = house(|options| options.errors.debug = true).await;
    let router = axum::Router::new().route("/panic", axum::routing::get(broken));
    let house = House {
        router: routes::wrap(router, &house.app),
        ..house
    };
    let answered = house.send(get("/panic")).await;
    assert_eq!(
        (answered.status, &answered.body["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal_error"))
    );
    assert!(
        answered.body["debug"]
            .as_str()
            .unwrap()
            .contains("on purpose")
    );
}

async fn broken() -> &'static str {
    panic!("on purpose")
}

#[tokio::test]
async fn signing_in_gives_a_token_and_its_aliases_are_one_route() {
    let house = house(|_| {}).await;
    let token = house.token().await;
    let answered = house
        .call(Method::GET, "/api/auth/me", &token, Value::Null)
        .await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.body["email"], EMAIL);
    assert_eq!(answered.headers["x-ratelimit-limit"], "600");
    for path in [
        "/sessions",
        "/api/sessions",
        "/chat/sessions",
        "/api/chat/sessions/",
        "/conversations",
    ] {
        let answered = house.call(Method::GET, path, &token, Value::Null).await;
        assert_eq!(
            (answered.status, &answered.body["meta"]["total"]),
            (StatusCode::OK, &json!(0)),
            "{path}"
        );
    }
    let answered = house
        .call(Method::GET, "/statistics/usage", &token, Value::Null)
        .await;
    assert_eq!(answered.body["totals"]["requests"], 0);

    for (token, code) in [("", "not_authenticated"), ("x.y.z", "invalid_token")] {
        let answered = house
            .call(Method::GET, "/sessions", token, Value::Null)
            .await;
        assert_eq!(
            (answered.status, &answered.body["code"]),
            (StatusCode::UNAUTHORIZED, &json!(code))
        );
        assert!(answered.headers.contains_key("www-authenticate"));
    }
    // The limit of sign-in, by address.
    let body = json!({"email": EMAIL, "password": "wrong"});
    for expected in [401, 401, 429] {
        let answered = house.call(Method::POST, "/login", "", body.clone()).await;
        assert_eq!(answered.status.as_u16(), expected);
        assert_eq!(
            answered.headers.contains_key("retry-after"),
            expected == 429
        );
    }
}

#[tokio::test]
async fn without_a_model_the_server_says_what_to_do() {
    let house = house(|_| {}).await;
    let token = house.token().await;
    let answered = house
        .call(Method::GET, "/models", &token, Value::Null)
        .await;
    assert_eq!(answered.body["data"], json!([]));
    assert!(
        answered.body["hint"]
            .as_str()
            .unwrap()
            .contains("make models")
    );
    let answered = house
        .call(Method::POST, "/sessions", &token, json!({}))
        .await;
    assert_eq!(
        (answered.status.as_u16(), &answered.body["code"]),
        (503, &json!("no_model"))
    );
}

#[tokio::test]
async fn ids_that_are_none_and_bodies_that_are_none() {
    let house = house(|_| {}).await;
    let token = house.token().await;
    for path in [
        "/sessions/x",
        "/sessions/%00",
        "/runs/1",
        "/users/zz",
        "/sessions/x/messages",
    ] {
        let answered = house.call(Method::GET, path, &token, Value::Null).await;
        assert_eq!(answered.status, 404, "{path}");
    }
    let answered = house
        .call(Method::GET, "/sessions?page=x", &token, Value::Null)
        .await;
    assert_eq!(
        (
            answered.status.as_u16(),
            &answered.body["errors"][0]["field"]
        ),
        (422, &json!("page"))
    );
    let request = |kind: &str, body: &'static [u8]| {
        http::Request::post("/credits/allocate")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))
            .unwrap()
    };
    for (kind, body, status) in [
        ("application/json", &b"{"[..], 400),
        ("application/json", b"\xff\xfe", 400),
        ("text/plain", b"{}", 415),
        (
            "application/json",
            b"{\"target_user_id\": 5, \"amount\": 1}",
            422,
        ),
        (
            "application/json",
            b"{\"target_user_id\": \"x\", \"amount\": 1}",
            404,
        ),
        (
            "application/json",
            b"{\"target_user_id\": \"x\", \"amount\": 1e400}",
            422,
        ),
        (
            "application/json",
            b"{\"target_user_id\": \"x\", \"amount\": 0.0000001}",
            422,
        ),
    ] {
        let answered = house.send(request(kind, body)).await;
        assert_eq!(
            answered.status.as_u16(),
            status,
            "{:?}",
            String::from_utf8_lossy(body)
        );
        assert_eq!(answered.headers["content-type"], "application/problem+json");
    }
    let large = vec![b' '; 2 * 1024 * 1024];
    let request = http::Request::post("/sessions")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    let answered = house.send(request.body(Body::from(large)).unwrap()).await;
    assert_eq!(
        (answered.status.as_u16(), &answered.body["code"]),
        (413, &json!("payload_too_large"))
    );
}

#[tokio::test]
async fn metrics_are_open_to_the_machine_itself_only() {
    let asked = |more: &[(&'static str, &str)]| {
        let mut request = get("/metrics");
        for (name, value) in more {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    // What nginx's plain `proxy_pass http://127.0.0.1:8080` sends, too.
    let local = [("host", "127.0.0.1:8080")];
    for home in ["", "http://localhost:8080"] {
        let house = house(|options| options.server.public_url = home.into()).await;
        assert_eq!(house.send(asked(&local)).await.status, 200, "{home}");
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.7"),
            ("host", "chat.example.org"),
        ] {
            let sent = asked(&[local[0], (name, value)]);
            assert_eq!(house.send(sent).await.status, 401, "{home} {name}");
        }
    }
    let house =
        house(|options| options.server.public_url = "https://chat.example.org".into()).await;
    assert_eq!(house.send(asked(&local)).await.status, 401);
    let token = format!("Bearer {}", house.token().await);
    let sent = asked(&[local[0], ("authorization", &token)]);
    assert_eq!(house.send(sent).await.status, 200);
}

#[tokio::test]
async fn health_names_its_dependencies() {
    let house = house(|_| {}).await;
    let answered = house.send(get("/api/health")).await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.body["status"], "ok");
    assert_eq!(answered.body["active_jobs"], 0);
    assert_eq!(
        answered.body["database"],
        json!({"status": "ok", "kind": "sqlite"})
    );
    assert_eq!(house.send(get("/ready")).await.status, 200);
    assert_eq!(house.send(get("/")).await.body["docs"], "/docs");
}

#[tokio::test]
async fn origins_may_call_only_when_they_are_named() {
    let preflight = || {
        http::Request::options("/sessions")
            .header(header::ORIGIN, "https://page.example")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .body(Body::empty())
            .unwrap()
    };
    let closed = house(|_| {}).await.send(preflight()).await;
    assert!(
        !closed
            .headers
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    let named =
        |options: &mut Options| options.server.cors_origins = vec!["https://page.example".into()];
    let open = house(named).await.send(preflight()).await;
    assert_eq!(
        open.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://page.example"
    );
}

/// Every operation of the document reaches a handler of its own method, and
/// every handler in the sources is registered.
#[tokio::test]
async fn the_document_and_the_router_know_the_same_routes() {
    let document: Value = serde_json::from_str(&routes::openapi()).unwrap();
    let house = house(|_| {}).await;
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            let method: Method = method.to_uppercase().parse().unwrap();
            let concrete = path
                .replace("{id}", "x")
                .replace("{mid}", "y")
                .replace("{code}", "not_found");
            let answered = house.call(method.clone(), &concrete, "", Value::Null).await;
            assert_ne!(answered.status, 405, "{method} {path}");
            let unknown = answered.body["detail"]
                .as_str()
                .unwrap_or("")
                .starts_with("There is nothing");
            assert!(!unknown, "{method} {path} reaches nothing");
        }
    }
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/routes");
    let mut handlers = 0;
    for file in std::fs::read_dir(sources).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        handlers += text.matches("#[utoipa::path(").count();
        let plain = text.contains(".route(") && !file.ends_with("admin.rs");
        assert!(
            !plain,
            "{}: register routes with routes!() only",
            file.display()
        );
    }
    assert_eq!(
        handlers,
        names.len(),
        "a handler is not registered in its table()"
    );
    for route in crate::rate::CHAT.iter().chain(crate::rate::SIGN_IN) {
        assert!(
            document["paths"].get(*route).is_some(),
            "{route} has a limit but no route"
        );
    }
}

/// `docs/openapi.json` is what the server publishes. To accept a change:
/// `UPDATE_OPENAPI=1 cargo nextest run -p api the_committed_document`.
#[test]
fn the_committed_document_is_the_published_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let published = routes::openapi() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &published).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == published,
        "docs/openapi.json differs; run with UPDATE_OPENAPI=1 and look at the change"
    );
}

/// The parts' own types are what is sent; the document must have their fields.
#[tokio::test]
async fn the_document_describes_what_is_sent() {
    let house = house(|_| {}).await;
    let document: Value = serde_json::from_str(&routes::openapi()).unwrap();
    let token = house.token().await;
    let me = house
        .call(Method::GET, "/auth/me", &token, Value::Null)
        .await
        .body;
    same_fields(&document, "User", &me);
    same_fields(&document, "Tenant", &me["tenant"]);
    let balance = house
        .call(Method::GET, "/credits/balance", &token, Value::Null)
        .await
        .body;
    same_fields(&document, "Balance", &balance);
    let stats = house
        .call(Method::GET, "/usage/stats", &token, Value::Null)
        .await
        .body;
    same_fields(&document, "Stats", &stats);
    same_fields(&document, "Totals", &stats["totals"]);
    let page = house
        .call(Method::GET, "/users", &token, Value::Null)
        .await
        .body;
    same_fields(&document, "UserPage", &page);
    same_fields(&document, "PageMeta", &page["meta"]);
    let problem = house
        .call(Method::GET, "/sessions/x", &token, Value::Null)
        .await
        .body;
    same_fields(&document, "Problem", &problem);

    let conversations = Arc::new(house.app.parts().conversations.clone());
    let ctx = house
        .app
        .parts()
        .security
        .authenticate(&token, house.app.store().env().ids.next());
    let ctx = ctx.await.unwrap();
    let create = conversations::Create {
        model_id: "m".into(),
        ..Default::default()
    };
    let made = conversations.create(&ctx, create).await.unwrap();
    let path = format!("/sessions/{}", made.id);
    let conversation = house
        .call(Method::GET, &path, &token, Value::Null)
        .await
        .body;
    same_fields(&document, "Conversation", &conversation);
    let answered = house
        .call(Method::POST, &format!("{path}/stop"), &token, Value::Null)
        .await;
    assert_eq!(
        (answered.status, &answered.body["run"]),
        (StatusCode::OK, &Value::Null)
    );
    same_fields(&document, "Stopped", &answered.body);
    let answered = house.call(Method::DELETE, &path, &token, Value::Null).await;
    same_fields(&document, "Said", &answered.body);
    assert_eq!(
        house
            .call(Method::GET, &path, &token, Value::Null)
            .await
            .status,
        404
    );
}

/// The value has every required property of the schema and none that it lacks.
fn same_fields(document: &Value, schema: &str, value: &Value) {
    let schema_of = &document["components"]["schemas"][schema];
    let known: BTreeSet<&str> = schema_of["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let sent: BTreeSet<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let unknown: Vec<_> = sent.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "{schema}: {unknown:?} is sent and not described"
    );
    for required in schema_of["required"].as_array().into_iter().flatten() {
        assert!(
            sent.contains(required.as_str().unwrap()),
            "{schema}: {required} is not sent"
        );
    }
}
