//! The page's session by cookie: what the cookies look like, that they serve
//! wherever a token does, and that no other site can use them.

use http::Method;
use serde_json::{Value as Json, json};
use testkit::{Client, Reply, TestServer, User, on_both};

use crate::world::{MODEL, World, truth};

const ACCESS: &str = "tertulia_access";
const REFRESH: &str = "tertulia_refresh";

/// A browser that has one of our pages open.
fn browser(client: &Client) -> Client {
    client.with("sec-fetch-site", "same-origin")
}

/// The cookies an answer sets: name, value, attributes.
fn set(answer: &Reply) -> Vec<(String, String, Vec<String>)> {
    let all = answer.headers.get_all("set-cookie").iter();
    all.map(|text| {
        let text = text.to_str().unwrap();
        let mut parts = text.split("; ").map(str::to_owned);
        let first = parts.next().unwrap();
        let (name, value) = first.split_once('=').unwrap();
        (name.to_owned(), value.to_owned(), parts.collect())
    })
    .collect()
}

/// The value of a cookie that an answer sets.
fn value(answer: &Reply, name: &str) -> String {
    let all = set(answer);
    let found = all.iter().find(|(set, ..)| set == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {all:?}"))
        .1
        .clone()
}

async fn sign_in(user: &User, client: &Client) -> Reply {
    let body = json!({"email": user.email, "password": user.password, "cookie": true});
    browser(client).post("/auth/login", body).await
}

/// The header of a browser whose page has signed in.
async fn cookie_of(server: &TestServer, user: &User) -> String {
    let answer = sign_in(user, &server.client()).await;
    answer.is(200);
    format!("{ACCESS}={}", value(&answer, ACCESS))
}

fn cleared(answer: &Reply) {
    let all = set(answer);
    assert_eq!(all.len(), 2, "{all:?}");
    for (_, value, attributes) in all {
        assert_eq!(value, "");
        assert!(
            attributes.contains(&"Max-Age=0".to_owned()),
            "{attributes:?}"
        );
    }
}

on_both! {
    /// From sign-in to sign-out, with the tokens in cookies only.
    async fn a_page_signs_in_renews_and_signs_out(backend) {
        let server = TestServer::start(backend, |setup| {
            setup.set("security.refresh_grace", "0s").set("security.refresh_ttl", "2h");
        })
        .await;
        let ana = server.user("ana").await;
        let first = sign_in(&ana, &server.client()).await;
        let body = first.ok(200);
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["expires_in", "token_type", "user"]);
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("cookie"), &json!(900)));
        assert_eq!(body["user"]["email"], ana.email);
        let cookies = set(&first);
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        assert_eq!((cookies[0].0.as_str(), cookies[1].0.as_str()), (ACCESS, REFRESH));
        assert_eq!(cookies[0].2, ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=900"]);
        assert_eq!(cookies[1].2, ["HttpOnly", "SameSite=Strict", "Path=/auth", "Max-Age=7200"]);
        assert!(!first.text().contains(&cookies[0].1) && !first.text().contains(&cookies[1].1));

        let page = browser(&server.client()).with("cookie", &format!("{ACCESS}={}", cookies[0].1));
        assert_eq!(page.get("/auth/me").await.ok(200)["id"], ana.id.as_str());
        page.get("/api/auth/me").await.is(200);
        page.patch("/auth/me", json!({"display_name": "Ana of the page"})).await.is(200);

        // Rotation by cookie, and what a used cookie does to its session.
        let with = |refresh: &str| browser(&server.client()).with("cookie", &format!("{REFRESH}={refresh}"));
        let second = with(&cookies[1].1).post("/auth/refresh", json!({})).await;
        assert_eq!(second.ok(200)["token_type"], "cookie");
        let renewed = value(&second, REFRESH);
        assert_ne!(renewed, cookies[1].1);
        assert_ne!(value(&second, ACCESS), cookies[0].1);
        // A browser sends nothing with it at all.
        let third = with(&renewed).send(Method::POST, "/api/auth/refresh", None).await;
        third.is(200);
        let reused = with(&renewed).post("/auth/refresh", json!({})).await;
        reused.problem(401, "token_revoked");
        cleared(&reused);
        let last = with(&value(&third, REFRESH)).post("/auth/refresh", json!({})).await;
        last.problem(401, "token_revoked");
        page.get("/auth/me").await.problem(401, "token_revoked");
        browser(&server.client()).post("/auth/refresh", json!({})).await.problem(401, "not_authenticated");
        with("no such token").post("/auth/refresh", json!({})).await.problem(401, "invalid_token");

        let again = sign_in(&ana, &server.client()).await;
        let page = browser(&server.client()).with("cookie", &format!("{ACCESS}={}", value(&again, ACCESS)));
        let out = page.post("/auth/logout", json!({})).await;
        out.is(200);
        cleared(&out);
        page.get("/auth/me").await.problem(401, "token_revoked");
        let gone = with(&value(&again, REFRESH)).post("/auth/refresh", json!({})).await;
        gone.problem(401, "token_revoked");
        cleared(&gone);
        // The other device, with its tokens in hand, is another session and goes on.
        ana.get("/auth/me").await.is(200);
        let plain = json!({"refresh_token": ana.tokens["refresh_token"]});
        let plain = server.client().post("/auth/refresh", plain).await;
        assert!(plain.ok(200)["access_token"].is_string() && set(&plain).is_empty());
        server.assert_not_logged(&[&cookies[0].1, &cookies[1].1, &renewed]);
    }

    /// Every case of the rule, and that a refused request does nothing.
    async fn no_other_site_uses_the_cookie(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let ana = server.user("ana").await;
        let cookie = cookie_of(server, &ana).await;
        let page = browser(&server.client()).with("cookie", &cookie);
        let conversation = page.post("/sessions", json!({"model_id": MODEL})).await.ok(201)["id"].clone();
        let path = format!("/sessions/{}", conversation.as_str().unwrap());
        let bare = server.client().with("cookie", &cookie);
        let own = server.client().url();
        let host = own.strip_prefix("http://").unwrap().to_owned();
        let elsewhere = format!("http://{}:1", host.split(':').next().unwrap());

        let refused = [
            bare.with("sec-fetch-site", "cross-site"),
            bare.with("sec-fetch-site", "same-site"),
            bare.with("sec-fetch-site", "cross-site").with("origin", &own),
            bare.with("origin", "https://evil.example"),
            bare.with("origin", "null"),
            bare.with("origin", &elsewhere),
            bare.with("referer", &own),
            bare.clone(),
        ];
        let before = server.database().rows(SESSIONS).await;
        for (at, client) in refused.iter().enumerate() {
            let prompt = json!({"prompt": "Across"});
            for (method, path, body) in [
                (Method::POST, "/sessions".to_owned(), Some(json!({"model_id": MODEL, "title": "Across"}))),
                (Method::PATCH, path.clone(), Some(json!({"title": "Across"}))),
                (Method::DELETE, path.clone(), None),
                (Method::POST, format!("{path}/messages"), Some(prompt.clone())),
                (Method::POST, format!("{path}/messages/stream"), Some(prompt)),
                (Method::PATCH, "/auth/me".to_owned(), Some(json!({"display_name": "Across"}))),
                (Method::POST, "/auth/logout".to_owned(), None),
                (Method::DELETE, "/auth/me".to_owned(), Some(json!({"password": ana.password}))),
            ] {
                let body = body.map(|body| body.to_string().into());
                let answer = client.send(method, &path, body).await;
                answer.problem(403, "csrf_failed");
                assert!(set(&answer).is_empty(), "{at}: {path}");
            }
            // Reading is no change; other sites cannot see the answer (no CORS).
            client.get(&path).await.is(200);
        }
        assert_eq!(server.database().rows(SESSIONS).await, before);
        assert_eq!(world.upstream.requests().len(), 0);

        // What comes from the page does what it says, by whichever header that is known.
        for (title, client) in [
            ("by site", bare.with("sec-fetch-site", "same-origin")),
            ("typed in", bare.with("sec-fetch-site", "none")),
            ("by origin", bare.with("origin", &own)),
        ] {
            let patched = client.patch(&path, json!({"title": title})).await.ok(200);
            assert_eq!(patched["title"], title);
        }
        // A token is nobody's by accident: none of this applies to it, also beside a cookie.
        for client in [&refused[0], &refused[3], &refused[7]] {
            let token = ana.tokens["access_token"].as_str().unwrap();
            client.with_token(token).patch(&path, json!({"title": "by token"})).await.is(200);
            // The token decides, not the cookie.
            client.with_token("x.y.z").get("/auth/me").await.problem(401, "invalid_token");
        }
        // The cookie carries a stream as a token does.
        let mut stream = page.stream(&format!("{path}/messages/stream"), json!({"prompt": "Of whales"})).await;
        let start = stream.next().await.unwrap();
        let run = start.data["run_id"].as_str().unwrap().to_owned();
        stream.rest().await;
        assert_eq!(page.events(&run, None).await.whole().await.text, truth("Of whales"));
    }

    /// Signing in, renewing and signing out by cookie come from our page only.
    async fn no_other_site_signs_anybody_in_or_out(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let ana = server.user("ana").await;
        let body = json!({"email": ana.email, "password": ana.password, "cookie": true});
        let client = server.client();
        let across = client.with("sec-fetch-site", "cross-site");
        for client in [&client, &across, &client.with("origin", "https://evil.example")] {
            let answer = client.post("/auth/login", body.clone()).await;
            answer.problem(403, "csrf_failed");
            assert!(set(&answer).is_empty());
        }
        // Without the cookie it is a program's sign-in, and sets none.
        let plain = json!({"email": ana.email, "password": ana.password});
        assert!(set(&across.post("/auth/login", plain).await).is_empty());
        let signed_in = sign_in(&ana, &client).await;
        let refresh = format!("{REFRESH}={}", value(&signed_in, REFRESH));
        let answer = across.with("cookie", &refresh).post("/auth/refresh", json!({})).await;
        answer.problem(403, "csrf_failed");
        assert!(set(&answer).is_empty());
        // The refused request has not used the token up.
        browser(&client).with("cookie", &refresh).post("/auth/refresh", json!({})).await.is(200);
        // Wrong passwords are counted as ever, and set nothing.
        let wrong = json!({"email": ana.email, "password": "not her password", "cookie": true});
        let answer = browser(&client).post("/auth/login", wrong).await;
        answer.problem(401, "invalid_credentials");
        assert!(set(&answer).is_empty());
    }

    /// Signing out takes the session along, also when the access cookie's time is over.
    async fn signing_out_needs_no_access_cookie(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let ana = server.user("ana").await;
        let alive = || async {
            let list = ana.get("/auth/sessions").await.ok(200);
            list["data"].as_array().unwrap().len()
        };
        let client = server.client();
        for access in [String::new(), format!("{ACCESS}=x.y.z; ")] {
            let signed_in = sign_in(&ana, &client).await;
            assert_eq!(alive().await, 2);
            let cookies = format!("{access}{REFRESH}={}", value(&signed_in, REFRESH));
            // Not by another site.
            let across = client.with("sec-fetch-site", "cross-site").with("cookie", &cookies);
            let refused = across.post("/auth/logout", json!({})).await;
            refused.problem(403, "csrf_failed");
            assert!(set(&refused).is_empty());
            assert_eq!(alive().await, 2);
            let page = browser(&client).with("cookie", &cookies);
            let out = page.send(Method::POST, "/auth/logout", None).await;
            out.is(200);
            cleared(&out);
            assert_eq!(alive().await, 1);
            let token = value(&signed_in, ACCESS);
            client.with_token(&token).get("/auth/me").await.problem(401, "token_revoked");
            page.post("/auth/refresh", json!({})).await.problem(401, "token_revoked");
            // Twice is fine, and so is a used one.
            let again = page.post("/auth/logout", json!({})).await;
            again.is(200);
            cleared(&again);
        }
        let first = sign_in(&ana, &client).await;
        let page = |refresh: &str| browser(&client).with("cookie", &format!("{REFRESH}={refresh}"));
        let used = value(&first, REFRESH);
        page(&used).post("/auth/refresh", json!({})).await.is(200);
        page(&used).post("/auth/logout", json!({})).await.is(200);
        assert_eq!(alive().await, 1);
        // Cookies that are nobody's are taken away; without any there is nothing to end.
        for nobodys in ["x", "rt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            cleared(&page(nobodys).post("/auth/logout", json!({})).await);
        }
        browser(&client).post("/auth/logout", json!({})).await.problem(401, "not_authenticated");
    }

    /// A token ends its own session and leaves the cookies of another one alone.
    async fn a_token_signs_itself_out(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let (ana, ben) = (server.user("ana").await, server.user("ben").await);
        let signed_in = sign_in(&ana, &server.client()).await;
        let cookies = format!("{ACCESS}={}; {REFRESH}={}", value(&signed_in, ACCESS), value(&signed_in, REFRESH));
        let page = browser(&server.client()).with("cookie", &cookies);
        let both = page.with_token(ben.tokens["access_token"].as_str().unwrap());
        let out = both.post("/auth/logout", json!({})).await;
        out.is(200);
        assert!(set(&out).is_empty(), "{:?}", set(&out));
        ben.get("/auth/me").await.problem(401, "token_revoked");
        assert_eq!(page.get("/auth/me").await.ok(200)["id"], ana.id.as_str());
        // One that is good for nothing signs nobody out.
        let out = both.post("/auth/logout", json!({})).await;
        out.problem(401, "token_revoked");
        assert!(set(&out).is_empty());
        page.get("/auth/me").await.is(200);
        // As it is with the end of an account.
        let ben = server.client().sign_in(&ben.email, &ben.password).await;
        let both = page.with_token(ben.tokens["access_token"].as_str().unwrap());
        let body = json!({"password": ben.password}).to_string();
        let erased = both.send(Method::DELETE, "/auth/me", Some(body.into())).await;
        erased.is(200);
        assert!(set(&erased).is_empty(), "{:?}", set(&erased));
        assert_eq!(page.get("/auth/me").await.ok(200)["id"], ana.id.as_str());
        let body = json!({"password": ana.password}).to_string();
        let erased = page.send(Method::DELETE, "/auth/me", Some(body.into())).await;
        erased.is(200);
        cleared(&erased);
    }

    /// Nothing that is read changes anything, so that a link from elsewhere cannot either.
    async fn reading_changes_nothing(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let admin = server.admin().await;
        let cookie = cookie_of(server, &admin).await;
        let page = server.client().with("cookie", &cookie).with("sec-fetch-site", "cross-site");
        let own = browser(&page);
        let conversation = own.post("/sessions", json!({"model_id": MODEL})).await.ok(201);
        let id = conversation["id"].as_str().unwrap();
        let said = own.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Hi"})).await.ok(200);
        let message = said["message"]["id"].as_str().unwrap();
        let run = said["run_id"].as_str().unwrap();
        let document = page.get("/openapi.json").await.ok(200);
        let before = everything(server).await;
        let mut read = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            if item.get("get").is_none() || path == "/events" {
                continue;
            }
            let id = match path {
                path if path.starts_with("/runs") => run,
                path if path.starts_with("/users") => admin.id.as_str(),
                _ => id,
            };
            let path = path.replace("{id}", id).replace("{mid}", message).replace("{*path}", "x");
            let reply = page.get(&path).await;
            assert!(reply.status.as_u16() < 500 || path.starts_with("/app"), "{path}: {}", reply.text());
            read += 1;
        }
        assert!(read > 15, "{read}");
        assert_eq!(everything(server).await, before);
    }
}

/// What other sites would have changed.
const SESSIONS: &str = "SELECT c.id, c.title, c.version, a.display_name FROM conversations c
    JOIN accounts a ON a.id = c.account_id ORDER BY c.id";

/// Every row of every table.
async fn everything(server: &TestServer) -> Vec<(String, Vec<Json>)> {
    let database = server.database();
    let mut all = Vec::new();
    for table in database.tables().await {
        let mut rows = database.rows(&format!("SELECT * FROM {table}")).await;
        rows.sort_by_key(ToString::to_string);
        all.push((table, rows));
    }
    all
}

on_both! {
    async fn behind_tls_the_cookies_say_so(backend) {
        let server = TestServer::start(backend, |setup| {
            setup.set("server.public_url", "https://chat.example.org");
        })
        .await;
        let ana = server.user("ana").await;
        let body = json!({"email": ana.email, "password": ana.password, "cookie": true});
        let client = server.client().with("origin", "https://chat.example.org");
        let answer = client.post("/auth/login", body).await;
        answer.is(200);
        let cookies = set(&answer);
        assert_eq!(cookies[0].0, "__Host-tertulia_access");
        assert_eq!(cookies[1].0, "__Host-tertulia_refresh");
        for (name, _, attributes) in &cookies {
            for demanded in ["Secure", "Path=/", "HttpOnly", "SameSite=Strict"] {
                assert!(
                    attributes.contains(&demanded.to_owned()),
                    "{name}: {attributes:?}"
                );
            }
            assert!(!attributes.iter().any(|one| one.starts_with("Domain")));
        }
        let cookie = format!("{}={}", cookies[0].0, cookies[0].1);
        client.with("cookie", &cookie).get("/auth/me").await.is(200);
        // The name without its prefix could have been set by a neighbour.
        let cookie = format!("{ACCESS}={}", cookies[0].1);
        let answer = client.with("cookie", &cookie).get("/auth/me").await;
        answer.problem(401, "not_authenticated");
        for name in ["tertulia_refresh", "__Secure-tertulia_refresh"] {
            let page = client.with("cookie", &format!("{name}={}", cookies[1].1));
            let answer = page.post("/auth/refresh", json!({})).await;
            answer.problem(401, "not_authenticated");
        }
        let refresh = |token: &str| format!("__Host-tertulia_refresh={token}");
        let page = client.with("cookie", &refresh(&cookies[1].1));
        let renewed = page.post("/auth/refresh", json!({})).await;
        renewed.is(200);
        let page = client.with(
            "cookie",
            &refresh(&value(&renewed, "__Host-tertulia_refresh")),
        );
        let out = page.post("/auth/logout", json!({})).await;
        out.is(200);
        cleared(&out);
    }
}
