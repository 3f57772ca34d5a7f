//! A client of the server's API: requests, streams, and what a user does first.

use std::{
    sync::{Arc, OnceLock, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::{EventStream, Reply, micros};

/// The address of a server, which changes when it starts again.
#[derive(Debug, Clone)]
pub(crate) struct Base(Arc<RwLock<String>>);

impl Base {
    pub(crate) fn new(url: String) -> Self {
        Self(Arc::new(RwLock::new(url)))
    }

    pub(crate) fn get(&self) -> String {
        self.0.read().expect("the address").clone()
    }

    pub(crate) fn set(&self, url: String) {
        *self.0.write().expect("the address") = url;
    }
}

/// Somebody who talks to the server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Base,
    headers: HeaderMap,
}

/// A client with an account.
#[derive(Debug, Clone)]
pub struct User {
    /// The client, signed in.
    pub client: Client,
    /// The account's id.
    pub id: String,
    /// The account's email.
    pub email: String,
    /// The account's password.
    pub password: String,
    /// What sign-in answered.
    pub tokens: Json,
}

impl std::ops::Deref for User {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

/// The password of every account that tests make.
pub(crate) const PASSWORD: &str = "correct horse battery staple 7";

impl Client {
    pub(crate) fn new(base: Base) -> Self {
        static PROVIDER: OnceLock<()> = OnceLock::new();
        PROVIDER.get_or_init(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(120))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client");
        Self {
            http,
            base,
            headers: HeaderMap::new(),
        }
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> String {
        self.base.get()
    }

    /// The same client with a header on every request, in place of one of that name.
    ///
    /// # Panics
    /// When it is no header.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        changed
            .headers
            .insert(name, value.parse().expect("a header's value"));
        changed
    }

    /// The same client with this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The same client with connections of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            http: Self::new(self.base.clone()).http,
            ..self.clone()
        }
    }

    /// The same client at another server.
    #[must_use]
    pub fn at(&self, other: &Self) -> Self {
        Self {
            base: other.base.clone(),
            ..self.clone()
        }
    }

    /// One request, its answer whatever it is.
    ///
    /// # Errors
    /// When there is no answer: the connection is refused or breaks.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> reqwest::Result<Reply> {
        let response = self.start(method, path, body).await?;
        Reply::read(response).await
    }

    /// `GET` of which only the head has been read; the body is the caller's.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn begin(&self, path: &str) -> reqwest::Response {
        let begun = self.start(Method::GET, path, None).await;
        begun.unwrap_or_else(|e| panic!("{path}: {e:?}"))
    }

    async fn start(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.url()));
        if let Some(body) = body {
            if !self.headers.contains_key("content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        request.headers(self.headers.clone()).send().await
    }

    /// One request, its answer whatever it is.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> Reply {
        let named = format!("{method} {path}");
        self.try_send(method, path, body)
            .await
            .unwrap_or_else(|e| panic!("{named}: {e:?}"))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Json) -> Reply {
        self.send(Method::POST, path, Some(body.to_string().into()))
            .await
    }

    /// `POST` with a JSON body, for closures and tasks.
    pub async fn post_owned(self, path: &'static str, body: Json) -> Reply {
        self.post(path, body).await
    }

    /// `PATCH` with a JSON body.
    pub async fn patch(&self, path: &str, body: Json) -> Reply {
        self.send(Method::PATCH, path, Some(body.to_string().into()))
            .await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// `POST` for an event stream; the answer itself when it is none.
    ///
    /// # Errors
    /// The answer, when it is not an event stream. `None` when there was none at all.
    pub async fn try_stream(&self, path: &str, body: Json) -> Result<EventStream, Option<Reply>> {
        let body = Some(body.to_string().into());
        self.open(Method::POST, path, body).await
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<EventStream, Option<Reply>> {
        let response = self.start(method, path, body).await.map_err(|_| None)?;
        if response.status() == StatusCode::OK {
            Ok(EventStream::new(response))
        } else {
            Err(Reply::read(response).await.ok())
        }
    }

    /// `POST` for an event stream.
    ///
    /// # Panics
    /// When the answer is another one.
    pub async fn stream(&self, path: &str, body: Json) -> EventStream {
        let opened = self.try_stream(path, body).await;
        opened.unwrap_or_else(|reply| panic!("{path}: no stream: {reply:?}"))
    }

    /// The events of a run, after the given one.
    ///
    /// # Errors
    /// As [`Self::try_stream`].
    pub async fn try_events(
        &self,
        run: &str,
        after: Option<&str>,
    ) -> Result<EventStream, Option<Reply>> {
        let client = match after {
            Some(id) => self.with("last-event-id", id),
            None => self.clone(),
        };
        client
            .open(Method::GET, &format!("/runs/{run}/events"), None)
            .await
    }

    /// The events of a run, after the given one.
    ///
    /// # Panics
    /// When the answer is no event stream.
    pub async fn events(&self, run: &str, after: Option<&str>) -> EventStream {
        let opened = self.try_events(run, after).await;
        opened.unwrap_or_else(|reply| panic!("{run}: no stream: {reply:?}"))
    }

    /// What happens to one's own things, as it happens.
    ///
    /// # Errors
    /// As [`Self::try_stream`].
    pub async fn try_changes(&self) -> Result<EventStream, Option<Reply>> {
        self.open(Method::GET, "/events", None).await
    }

    /// What happens to one's own things, as it happens, once the server listens.
    ///
    /// # Panics
    /// When the answer is no event stream.
    pub async fn changes(&self) -> EventStream {
        let opened = self.try_changes().await;
        let mut changes = opened.unwrap_or_else(|reply| panic!("no stream: {reply:?}"));
        let first = changes.next().await.expect("an event");
        assert_eq!((first.kind.as_str(), first.data), ("ready", json!({})));
        changes
    }

    /// Registers an account and signs in.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn register(&self, name: &str) -> User {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "password": PASSWORD, "display_name": name});
        self.post("/auth/register", body).await.ok(201);
        self.sign_in(&email, PASSWORD).await
    }

    /// Signs in.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn sign_in(&self, email: &str, password: &str) -> User {
        let body = json!({"username": email, "password": password});
        let tokens = self.post("/auth/login", body).await.ok(200);
        User {
            client: self.with_token(tokens["access_token"].as_str().expect("an access token")),
            id: tokens["user"]["id"]
                .as_str()
                .expect("the user's id")
                .to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
            tokens,
        }
    }

    /// A new conversation's id.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn conversation(&self, model: &str) -> String {
        let made = self
            .post("/sessions", json!({"model_id": model}))
            .await
            .ok(201);
        made["id"]
            .as_str()
            .expect("the conversation's id")
            .to_owned()
    }

    /// What is available and what is held, in millionths of a credit.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn balance(&self) -> (i64, i64) {
        let answer = self.get("/credits/balance").await.ok(200);
        (micros(&answer["balance"]), micros(&answer["held"]))
    }
}
