//! What is one account's is not there for another one, nor for an account of
//! another tenant: 404 everywhere, the same as for what never was.

use http::Method;
use serde_json::{Value as Json, json};
use testkit::{Client, on_both};

use crate::{
    invariants,
    world::{MODEL, World, messages, without},
};

/// Everything that belongs to somebody, by its address.
struct Things {
    conversation: String,
    message: String,
    run: String,
    assistant: String,
    prompt: String,
    share: String,
}

async fn things_of(world: &World, who: &Client) -> Things {
    let conversation = who.conversation(MODEL).await;
    let path = format!("/sessions/{conversation}/messages");
    let answer = who
        .post(&path, json!({"prompt": "A secret of whales"}))
        .await
        .ok(200);
    let _ = world;
    let id_of = |made: &Json| made["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "Whale", "model_id": MODEL, "system_prompt": "A secret of whales"});
    let assistant = id_of(&who.post("/assistants", body).await.ok(201));
    let body = json!({"command": "whale", "title": "Whale", "content": "A secret of whales"});
    let prompt = id_of(&who.post("/prompts", body).await.ok(201));
    let sharing = format!("/sessions/{conversation}/share");
    let share = who.post(&sharing, json!({})).await.ok(201)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    Things {
        share,
        assistant,
        prompt,
        conversation,
        message: answer["message"]["id"].as_str().unwrap().to_owned(),
        run: answer["run_id"].as_str().unwrap().to_owned(),
    }
}

/// Every way to reach them, with a body where one is needed.
fn ways(things: &Things) -> Vec<(Method, String, Option<Json>)> {
    let Things {
        conversation,
        message,
        run,
        assistant,
        prompt: saved,
        share,
    } = things;
    let prompt = || Some(json!({"prompt": "Tell me"}));
    vec![
        (Method::GET, format!("/sessions/{conversation}"), None),
        (
            Method::GET,
            format!("/api/chat/sessions/{conversation}"),
            None,
        ),
        (Method::GET, format!("/conversations/{conversation}"), None),
        (
            Method::PATCH,
            format!("/sessions/{conversation}"),
            Some(json!({"title": "Mine now"})),
        ),
        (
            Method::GET,
            format!("/sessions/{conversation}/messages"),
            None,
        ),
        (
            Method::GET,
            format!("/sessions/{conversation}/messages?before={message}"),
            None,
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/messages"),
            prompt(),
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/messages/stream"),
            prompt(),
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/stream"),
            prompt(),
        ),
        (
            Method::POST,
            format!("/conversations/{conversation}/chat"),
            prompt(),
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/update-stream"),
            Some(json!({})),
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/stop"),
            Some(json!({})),
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/messages/{message}/regenerate"),
            Some(json!({})),
        ),
        (
            Method::PATCH,
            format!("/sessions/{conversation}/messages/{message}"),
            prompt(),
        ),
        (
            Method::GET,
            format!("/sessions/{conversation}/export?format=json"),
            None,
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/restore"),
            Some(json!({})),
        ),
        (
            Method::POST,
            format!("/sessions/{conversation}/share"),
            Some(json!({"refresh": true})),
        ),
        (Method::GET, format!("/sessions/{conversation}/share"), None),
        (
            Method::DELETE,
            format!("/sessions/{conversation}/share"),
            None,
        ),
        (Method::DELETE, format!("/shared/{share}"), None),
        (
            Method::POST,
            "/sessions".to_owned(),
            Some(json!({"assistant_id": assistant})),
        ),
        (Method::GET, format!("/assistants/{assistant}"), None),
        (
            Method::PATCH,
            format!("/assistants/{assistant}"),
            Some(json!({"name": "Mine now"})),
        ),
        (
            Method::PATCH,
            format!("/assistants/{assistant}"),
            Some(json!({"model_id": "no-such-model"})),
        ),
        (Method::DELETE, format!("/assistants/{assistant}"), None),
        (
            Method::PATCH,
            format!("/prompts/{saved}"),
            Some(json!({"title": "Mine now"})),
        ),
        (Method::DELETE, format!("/prompts/{saved}"), None),
        (Method::GET, format!("/runs/{run}"), None),
        (Method::GET, format!("/runs/{run}/events"), None),
        (Method::POST, format!("/runs/{run}/cancel"), Some(json!({}))),
        (Method::DELETE, format!("/sessions/{conversation}"), None),
    ]
}

/// The one thing that administrators of the tenant do to what is not theirs.
fn ends_a_share(method: &Method, path: &str) -> bool {
    *method == Method::DELETE && (path.ends_with("/share") || path.starts_with("/shared/"))
}

/// Tries everything; it must look as if nothing of it were there.
async fn nothing_is_there(stranger: &Client, things: &Things) {
    nothing_is_there_to(stranger, things, |_, _| true).await;
}

async fn nothing_is_there_to(
    stranger: &Client,
    things: &Things,
    tried: impl Fn(&Method, &str) -> bool,
) {
    let nobodys = Things {
        conversation: "0190f3a0-0000-7000-8000-000000000000".to_owned(),
        message: "0190f3a0-0000-7000-8000-000000000001".to_owned(),
        run: "0190f3a0-0000-7000-8000-000000000002".to_owned(),
        assistant: "0190f3a0-0000-7000-8000-000000000003".to_owned(),
        prompt: "0190f3a0-0000-7000-8000-000000000004".to_owned(),
        share: "A".repeat(43),
    };
    let body = |body: Option<Json>| body.map(|body| body.to_string().into());
    for ((method, path, sent), (_, other, same)) in ways(things).into_iter().zip(ways(&nobodys)) {
        if !tried(&method, &path) {
            continue;
        }
        let answer = stranger.send(method.clone(), &path, body(sent)).await;
        let told = without(
            answer.problem(404, "not_found"),
            &["request_id", "instance"],
        );
        let answer = stranger.send(method, &other, body(same)).await;
        let absent = without(
            answer.problem(404, "not_found"),
            &["request_id", "instance"],
        );
        assert_eq!(told, absent, "{path} is told apart from what is not there");
    }
    for path in ["/sessions", "/assistants", "/prompts"] {
        let list = stranger.get(path).await.ok(200);
        assert_eq!(
            (&list["meta"]["total"], &list["data"]),
            (&json!(0), &json!([]))
        );
    }
    assert_eq!(
        stranger.get("/search?q=whales").await.ok(200)["data"],
        json!([])
    );
    assert_eq!(
        stranger.get("/usage/stats").await.ok(200)["totals"]["requests"],
        0
    );
}

/// Nothing has changed for the owner.
async fn all_is_as_it_was(owner: &Client, things: &Things, balance: (i64, i64)) {
    let all = messages(owner, &things.conversation).await;
    assert_eq!(all.len(), 2);
    let got = owner
        .get(&format!("/sessions/{}", things.conversation))
        .await
        .ok(200);
    assert_ne!(got["title"], "Mine now");
    let assistant = format!("/assistants/{}", things.assistant);
    assert_eq!(owner.get(&assistant).await.ok(200)["name"], "Whale");
    let prompts = owner.get("/prompts").await.ok(200);
    assert_eq!(prompts["data"][0]["title"], "Whale");
    let share = format!("/sessions/{}/share", things.conversation);
    owner.get(&share).await.is(200);
    assert_eq!(owner.balance().await, balance);
}

on_both! {
    async fn another_account_sees_nothing(backend) {
        let world = World::start(backend).await;
        let (ana, ben) = (world.server.user("ana").await, world.server.user("ben").await);
        let things = things_of(&world, &ana).await;
        let balance = ana.balance().await;
        nothing_is_there(&ben, &things).await;
        // Not even an administrator reads what is not theirs (S0.6 has its own way, audited).
        let admin = world.server.admin().await;
        nothing_is_there_to(&admin, &things, |method, path| !ends_a_share(method, path)).await;
        // And nobody who has not signed in gets as far as that.
        for (method, path, body) in ways(&things) {
            let body = body.map(|body| body.to_string().into());
            world.server.client().send(method, &path, body).await.problem(401, "not_authenticated");
        }
        // A message of one conversation is not there in another one.
        let own = ben.conversation(MODEL).await;
        let path = format!("/sessions/{own}/messages/{}/regenerate", things.message);
        ben.post(&path, json!({})).await.problem(404, "not_found");
        let body = json!({"head": things.message});
        ben.patch(&format!("/sessions/{own}"), body).await.problem(404, "not_found");
        all_is_as_it_was(&ana, &things, balance).await;
        assert_eq!(world.upstream.requests().len(), 1);
        invariants::hold(&world.server).await;
    }

    /// There is no API for a second tenant yet, so one is made in the database.
    async fn another_tenant_sees_nothing(backend) {
        let mut world = World::start(backend).await;
        let (ana, admin) = (world.server.user("ana").await, world.server.admin().await);
        let things = things_of(&world, &ana).await;
        let balance = ana.balance().await;
        let eve = world.server.user("eve").await;
        assert!(world.server.terminate().await.success());
        move_to_another_tenant(&world, &eve.id).await;
        world.server.restart().await;
        let eve = world.server.client().sign_in(&eve.email, &eve.password).await;
        let me = eve.get("/auth/me").await.ok(200);
        assert!(me.to_string().contains("elsewhere"), "{me}");
        nothing_is_there(&eve, &things).await;
        all_is_as_it_was(&ana, &things, balance).await;
        // An administrator there is none here.
        let roles = me["roles"].to_string();
        assert!(roles.contains("admin"), "{roles}");
        for path in ["/credits/balance", "/credits/ledger", "/usage/stats"] {
            eve.get(&format!("{path}?user_id={}", ana.id)).await.problem(404, "not_found");
        }
        let ana_s = format!("/users/{}", ana.id);
        eve.get(&ana_s).await.problem(404, "not_found");
        eve.patch(&ana_s, json!({"status": "suspended"})).await.problem(404, "not_found");
        assert_eq!(eve.get("/users?q=ana").await.ok(200)["meta"]["total"], 0);
        let device = ana.get("/auth/sessions").await.ok(200)["data"][0]["id"].clone();
        eve.delete(&format!("/auth/sessions/{}", device.as_str().unwrap())).await.problem(404, "not_found");
        ana.get("/auth/me").await.is(200);
        let give = json!({"target_user_id": ana.id, "amount": 1});
        eve.post("/credits/allocate", give).await.problem(404, "not_found");
        let take = json!({"target_user_id": eve.id, "amount": 1});
        admin.post("/credits/allocate", take).await.problem(404, "not_found");
        // Her own works, and is nobody else's.
        let hers = things_of(&world, &eve).await;
        nothing_of(&ana, &hers).await;
        invariants::hold(&world.server).await;
    }
}

async fn nothing_of(stranger: &Client, things: &Things) {
    for (method, path, sent) in ways(things) {
        let sent = sent.map(|body| body.to_string().into());
        stranger
            .send(method, &path, sent)
            .await
            .problem(404, "not_found");
    }
}

/// A tenant `elsewhere`, with this account as its administrator and nowhere else a member.
pub(crate) async fn move_to_another_tenant(world: &World, account: &str) {
    let database = world.server.database();
    let tenant = "0190f3a0-1111-7000-8000-000000000000";
    let columns = database.rows("SELECT * FROM tenants").await;
    assert_eq!(columns.len(), 1);
    let (tenant, account) = (database.id(tenant), database.id(account));
    // Every other column is as the tenant `default` has it.
    let names: Vec<String> = columns[0].as_object().unwrap().keys().cloned().collect();
    let values: Vec<String> = names
        .iter()
        .map(|name| match name.as_str() {
            "id" => tenant.clone(),
            "slug" | "name" => "'elsewhere'".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    let (names, values) = (names.join(", "), values.join(", "));
    let sql = format!(
        "INSERT INTO tenants ({names}) SELECT {values} FROM tenants WHERE slug = 'default';
         DELETE FROM refresh_tokens WHERE session_id IN
           (SELECT id FROM auth_sessions WHERE account_id = {account});
         DELETE FROM auth_sessions WHERE account_id = {account};
         UPDATE memberships SET tenant_id = {tenant}, roles = 'user,admin' WHERE account_id = {account};"
    );
    database.execute(&sql).await;
}
