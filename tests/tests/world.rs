//! What most tests start from: a server that talks to a scripted upstream, its
//! model and prices, and small helpers. Not here: anything about one URL.

use std::{future::Future, path::PathBuf, time::Duration};

use serde_json::{Value as Json, json};
use testkit::{
    Backend, Client, Database, Setup, TestServer,
    upstream::{Script, Upstream},
};

/// The model of the scripted upstream.
pub(crate) const MODEL: &str = "scripted";
/// Its price of 1,000 prompt tokens, in millionths of a credit.
pub(crate) const INPUT: i64 = 1_000_000;
/// Its price of 1,000 answer tokens, in millionths of a credit.
pub(crate) const OUTPUT: i64 = 2_000_000;
/// What every new account gets, in millionths of a credit.
pub(crate) const GRANT: i64 = 1_000_000_000;
/// The provider's key, which nobody may ever see.
pub(crate) const API_KEY: &str = "sk-scripted-0123456789";

/// A model that is configured and never reached.
pub(crate) const MODEL_WITHOUT_UPSTREAM: &str = "
[[providers]]
name = \"nowhere\"
base_url = \"http://127.0.0.1:9/v1\"
api_key = \"sk-scripted-0123456789\"

[[models]]
id = \"scripted\"
context_window = 8192
input_price = 1
output_price = 2
deployments = [{ provider = \"nowhere\" }]
";

/// A server and the upstream that answers for its model.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) upstream: Upstream,
}

impl World {
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::with(backend, |_| {}).await
    }

    pub(crate) async fn with(backend: Backend, configure: impl FnOnce(&mut Setup)) -> Self {
        let upstream = Upstream::start().await;
        let server = TestServer::start(backend, |setup| {
            setup.add(&upstream.config(&[MODEL]).replace("test-key", API_KEY));
            configure(setup);
        })
        .await;
        Self { server, upstream }
    }

    /// Sends a prompt and waits for its answer, which must be what the script says.
    pub(crate) async fn say(&self, who: &Client, conversation: &str, prompt: &str) -> String {
        let path = format!("/sessions/{conversation}/messages");
        let answer = who.post(&path, json!({"prompt": prompt})).await.ok(200);
        let content = answer["message"]["content"]
            .as_str()
            .expect("the answer's text")
            .to_owned();
        assert_eq!(content, truth(prompt));
        content
    }
}

/// The answer to a prompt, as its script has it.
pub(crate) fn truth(prompt: &str) -> String {
    Script::choose(MODEL, prompt, &Script::default())
        .expect("a script")
        .answer(u64::MAX)
}

/// The messages of the current branch, oldest first, however many there are.
pub(crate) async fn messages(who: &Client, conversation: &str) -> Vec<Json> {
    let mut all: Vec<Json> = Vec::new();
    let mut before = String::new();
    loop {
        let path = format!("/sessions/{conversation}/messages?per_page=100{before}");
        let mut page = who.get(&path).await.ok(200)["data"]
            .as_array()
            .expect("messages")
            .clone();
        let last = page.len() < 100;
        page.sort_by_key(|message| message["depth"].as_i64());
        page.append(&mut all);
        all = page;
        if last {
            return all;
        }
        before = format!("&before={}", all[0]["id"].as_str().expect("an id"));
    }
}

/// Puts so many messages into a conversation, below nothing and one below the other, without any model;
/// while no server runs. `content` is SQL over the number `n` of a message, from 0.
pub(crate) async fn fill(world: &World, conversation: &str, messages: u32, content: &str) {
    let database = world.server.database();
    let id = database.id(conversation);
    let (new, numbers, now) = match database {
        Database::Sqlite(_) => (
            "randomblob(16)",
            format!(
                "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {messages})
                  SELECT n FROM c)"
            ),
            "unixepoch() * 1000000",
        ),
        Database::Postgres(_) => (
            "gen_random_uuid()",
            format!("(SELECT generate_series(0, {messages} - 1) AS n)"),
            "now()",
        ),
    };
    let sql = format!(
        "INSERT INTO messages (id, tenant_id, conversation_id, depth, role, content, status, created_at)
         SELECT {new}, c.tenant_id, c.id, n, 'user', {content}, 'complete', {now}
         FROM conversations c, {numbers} AS numbers WHERE c.id = {id}"
    );
    database.execute(&sql).await;
}

/// Waits until something holds that nothing announces; fails after ten seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut check: impl FnMut() -> F) {
    for _ in 0..200 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not become true within ten seconds");
}

/// A JSON object without some of its fields.
pub(crate) fn without(mut value: Json, fields: &[&str]) -> Json {
    for field in fields {
        value.as_object_mut().expect("an object").remove(*field);
    }
    value
}

/// Where a local model is for tests. `None`, loudly, where none was fetched.
pub(crate) fn models_dir() -> Option<PathBuf> {
    let named = std::env::var_os("TERTULIA_TEST_MODELS_DIR").map(PathBuf::from);
    let has_model = |directory: &PathBuf| {
        std::fs::read_dir(directory).is_ok_and(|entries| {
            let mut entries = entries.flatten();
            entries.any(|entry| entry.path().extension().is_some_and(|end| end == "gguf"))
        })
    };
    let found = named.filter(has_model);
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "TERTULIA_TEST_MODELS_DIR has no model; `make test-models`"
        );
        eprintln!(
            "\n*** SKIPPED: TERTULIA_TEST_MODELS_DIR has no model; `make test` fetches one ***\n"
        );
    }
    found
}
