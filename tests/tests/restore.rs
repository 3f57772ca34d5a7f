//! /sessions/{id}/restore, and what is left when the time for it is over.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value as Json, json};
use testkit::{Database, on_both};
use toml::{Table, Value};

use crate::{
    credits::ledger,
    invariants,
    world::{MODEL, World, eventually, fill, messages},
};

/// A word that nothing else has.
const MARK: &str = "zqxwhalemark";

/// The tables in which a text stands, whatever the type of the column.
async fn places_of(database: &Database, text: &str) -> Vec<String> {
    let columns = match database {
        Database::Sqlite(_) => {
            "SELECT m.name AS t, c.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table'"
        }
        Database::Postgres(_) => {
            "SELECT table_name AS t, column_name AS c FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name <> 'migrations'"
        }
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for column in database.rows(columns).await {
        let (table, column) = (column["t"].as_str().unwrap(), column["c"].as_str().unwrap());
        let has = match database {
            Database::Sqlite(_) => {
                format!("instr(CAST(\"{column}\" AS BLOB), CAST('{text}' AS BLOB)) > 0")
            }
            Database::Postgres(_) => format!("position('{text}' in \"{column}\"::text) > 0"),
        };
        tables.entry(table.to_owned()).or_default().push(has);
    }
    let mut places = Vec::new();
    for (table, has) in tables {
        let has = has.join(" OR ");
        let sql = format!("SELECT count(*) AS n FROM \"{table}\" WHERE {has}");
        if database.number(&sql).await > 0 {
            places.push(table);
        }
    }
    places
}

on_both! {
    /// Undone, a deletion leaves everything as it was: the list, the words, the log of the answer.
    async fn a_restored_conversation_is_as_it_was(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        ana.conversation(MODEL).await;
        world.say(&ana, &id, "Tell me about Walfische").await;
        let restore = format!("/sessions/{id}/restore");
        ana.post(&restore, json!({})).await.problem(404, "not_found");
        ana.patch(&format!("/sessions/{id}"), json!({"pinned": true})).await.is(200);
        let (before, said) = (ana.get(&format!("/sessions/{id}")).await.ok(200), messages(&ana, &id).await);
        let list = ana.get("/sessions").await.ok(200);
        let run = said[1]["run_id"].as_str().unwrap();
        let log = ana.events(run, None).await.whole().await.events;

        ana.delete(&format!("/sessions/{id}")).await.is(200);
        let lists = ["/sessions", "/sessions?pinned=true", "/search?q=walfische"];
        for (path, total) in lists.into_iter().zip([1, 0, 0]) {
            assert_eq!(ana.get(path).await.ok(200)["meta"]["total"], total, "{path}");
        }
        ana.get(&format!("/runs/{run}")).await.problem(404, "not_found");

        let after = ana.post(&restore, json!({})).await.ok(200);
        assert_eq!(after, ana.get(&format!("/sessions/{id}")).await.ok(200));
        for field in before.as_object().unwrap().keys().filter(|field| *field != "version") {
            assert_eq!(after[field], before[field], "{field}");
        }
        assert_eq!(messages(&ana, &id).await, said);
        let again = ana.get("/sessions").await.ok(200);
        assert_eq!(again["meta"], list["meta"]);
        assert_eq!(again["data"][0]["id"], list["data"][0]["id"]);
        for (path, total) in lists.into_iter().zip([2, 1, 1]) {
            assert_eq!(ana.get(path).await.ok(200)["meta"]["total"], total, "{path}");
        }
        ana.get(&format!("/runs/{run}")).await.is(200);
        assert_eq!(ana.events(run, None).await.whole().await.events, log);
        ana.post(&restore, json!({})).await.problem(404, "not_found");
        world.say(&ana, &id, "And on").await;
        invariants::hold(&world.server).await;
    }

    /// An answer that is stopped by the deletion is there after it is undone.
    async fn an_answer_under_way_is_kept_for_it(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let body = json!({"prompt": "!script tokens=400 delay=20ms"});
        let mut stream = ana.stream(&format!("/sessions/{id}/messages/stream"), body).await;
        stream.until("").await;
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        ana.post(&format!("/sessions/{id}/restore"), json!({})).await.is(200);
        let path = format!("/sessions/{id}");
        eventually(|| async { ana.get(&path).await.ok(200)["active_run"].is_null() }).await;
        let said = messages(&ana, &id).await;
        assert_eq!((said.len(), &said[1]["status"]), (2, &json!("stopped")));
        let word = said[1]["content"].as_str().unwrap().split_whitespace().next().unwrap().to_owned();
        assert_eq!(ana.get(&format!("/search?q={word}")).await.ok(200)["meta"]["total"], 1);
        invariants::hold(&world.server).await;
    }

    /// A large one is there at once; its words follow, whatever is killed meanwhile.
    async fn a_large_conversation_is_there_before_its_words(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        assert!(world.server.terminate().await.success());
        fill(&world, &id, 1_500, "'word' || n || ' ' || 'krill'").await;
        world.server.restart().await;
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        let restored = ana.post(&format!("/sessions/{id}/restore"), json!({})).await.ok(200);
        assert_eq!(ana.get(&format!("/sessions/{id}")).await.ok(200), restored);
        let found = |word: &str| {
            let path = format!("/search?q={word}");
            let ana = &ana;
            async move { ana.get(&path).await.ok(200)["meta"]["total"] == 1 }
        };
        assert!(found("word7").await, "the first ones at once");
        world.server.kill9().await;
        world.server.restart().await;
        eventually(|| found("word1499")).await;
        let database = world.server.database();
        let texts = format!("SELECT COUNT(*) AS n FROM conversation_texts WHERE conversation_id = {}", database.id(&id));
        assert_eq!(database.number(&texts).await, 1_500, "each of them once");
        invariants::hold(&world.server).await;
    }

    /// To restore is counted like a prompt: it is as much work.
    async fn restoring_is_limited_as_prompts_are(backend) {
        let world = World::with(backend, |setup| {
            let few = Table::from_iter([
                ("requests".to_owned(), Value::Integer(3)),
                ("window".to_owned(), Value::String("10m".to_owned())),
            ]);
            setup.set("security.rate_limit.chat", few);
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let (path, restore) = (format!("/sessions/{id}"), format!("/sessions/{id}/restore"));
        for _ in 0..3 {
            ana.delete(&path).await.is(200);
            ana.post(&restore, json!({})).await.is(200);
        }
        ana.delete(&path).await.is(200);
        ana.post(&restore, json!({})).await.problem(429, "rate_limited");
    }

    /// S0.8 in the end: no word is left, in no table; what it cost is.
    async fn a_purge_leaves_no_text_and_all_the_money(backend) {
        let world = World::with(backend, |setup| {
            setup.set("conversations.purge_after", "1s");
        })
        .await;
        let ana = world.server.user("ana").await;
        let kept = ana.conversation(MODEL).await;
        world.say(&ana, &kept, "Something that stays").await;
        let body = json!({
            "model_id": MODEL, "title": format!("{MARK} title"), "system_prompt": format!("{MARK} system"),
        });
        let id = ana.post("/sessions", body).await.ok(201)["id"].as_str().unwrap().to_owned();
        let path = format!("/sessions/{id}/messages");
        let answer = ana.post(&path, json!({"prompt": format!("!script text={MARK} answered")})).await.ok(200);
        let again = format!("{path}/{}/regenerate", answer["message"]["id"].as_str().unwrap());
        ana.post(&again, json!({})).await.is(200);
        ana.post(&format!("/sessions/{id}/share"), json!({})).await.is(201);
        let run = answer["run_id"].as_str().unwrap();
        let database = world.server.database();
        let before = places_of(database, MARK).await;
        for table in ["conversations", "messages", "run_segments"] {
            assert!(before.iter().any(|one| one == table), "{table}: {before:?}");
        }
        assert!(before.iter().any(|one| one.starts_with("conversation_")), "the search: {before:?}");
        let entries: Vec<Json> = ledger(&ana).await;
        let stats = ana.get("/usage/stats?group_by=conversation").await.ok(200);
        let balance = ana.balance().await;

        ana.delete(&format!("/sessions/{id}")).await.is(200);
        let left = format!("SELECT count(*) AS n FROM conversations WHERE id = {}", database.id(&id));
        eventually(|| async { database.number(&left).await == 0 }).await;
        // The words go from the index right after it.
        let mut left = Vec::new();
        for _ in 0..20 {
            left = places_of(database, MARK).await;
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(left, [""; 0], "a text is left");
        for table in ["conversations", "messages", "runs", "run_segments", "conversation_shares", "conversation_texts"] {
            let column = match table {
                "conversations" => "id",
                "runs" => "subject_id",
                "run_segments" => "run_id",
                _ => "conversation_id",
            };
            let of = database.id(if table == "run_segments" { run } else { &id });
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE {column} = {of}");
            assert_eq!(database.number(&sql).await, 0, "{table}");
        }
        assert_eq!(ledger(&ana).await, entries);
        assert_eq!(ana.get("/usage/stats?group_by=conversation").await.ok(200), stats);
        assert!(stats.to_string().contains(&id), "{stats}");
        assert_eq!(ana.balance().await, balance);
        ana.post(&format!("/sessions/{id}/restore"), json!({})).await.problem(404, "not_found");
        ana.get(&format!("/runs/{run}")).await.problem(404, "not_found");
        assert_eq!(messages(&ana, &kept).await.len(), 2);
        assert_eq!(ana.get("/search?q=stays").await.ok(200)["meta"]["total"], 1);
        invariants::hold(&world.server).await;
    }
}
