//! /prompts: texts under commands of one's own.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use testkit::on_both;

use crate::world::World;

fn commands(list: &Json) -> Vec<&str> {
    let data = list["data"].as_array().expect("a list");
    data.iter()
        .map(|one| one["command"].as_str().unwrap())
        .collect()
}

fn prompt(command: &str) -> Json {
    json!({"command": command, "title": "Sum up", "content": "Sum this up:\n"})
}

on_both! {
    async fn the_life_of_a_prompt(backend) {
        let mut world = World::start(backend).await;
        let (ana, ben) = (world.server.user("ana").await, world.server.user("ben").await);
        let made = ana.post("/api/prompts", prompt("sum-up")).await.ok(201);
        let path = format!("/prompts/{}", made["id"].as_str().unwrap());
        assert_eq!((&made["command"], &made["content"]), (&json!("sum-up"), &json!("Sum this up:\n")));
        let other = ana.post("/prompts", prompt("2nd")).await.ok(201);
        let list = ana.get("/prompts").await.ok(200);
        assert_eq!(commands(&list), ["2nd", "sum-up"]);
        assert_eq!((&list["data"][1], &list["meta"]["total"]), (&made, &json!(2)));
        assert_eq!(commands(&ana.get("/prompts?page=2&per_page=1").await.ok(200)), ["sum-up"]);

        // One command, one prompt; of each account.
        ana.post("/prompts", prompt("sum-up")).await.problem(409, "command_exists");
        let other_path = format!("/prompts/{}", other["id"].as_str().unwrap());
        ana.patch(&other_path, json!({"command": "sum-up"})).await.problem(409, "command_exists");
        ana.patch(&path, json!({"command": "sum-up"})).await.is(200);
        ben.post("/prompts", prompt("sum-up")).await.is(201);
        let changed = ana.patch(&path, json!({"command": "brief", "title": "Brief"})).await.ok(200);
        assert_eq!((&changed["command"], &changed["title"]), (&json!("brief"), &json!("Brief")));
        assert_eq!(changed["content"], made["content"]);
        ana.patch(&other_path, json!({"command": "sum-up"})).await.is(200);
        world.server.restart().await;
        assert_eq!(ana.get("/prompts").await.ok(200)["data"][1], changed);

        ana.delete(&path).await.is(200);
        ana.delete(&path).await.problem(404, "not_found");
        ana.patch(&path, json!({"title": "x"})).await.problem(404, "not_found");
        ana.post("/prompts", prompt("brief")).await.is(201);
        for id in ["x", "%00", "0190f3a0-0000-7000-8000-000000000000"] {
            ana.delete(&format!("/prompts/{id}")).await.problem(404, "not_found");
        }
    }

    async fn what_is_wrong_is_told_and_changes_nothing(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let made = ana.post("/prompts", prompt("good")).await.ok(201);
        let path = format!("/prompts/{}", made["id"].as_str().unwrap());
        for (field, value) in [
            ("command", json!("")), ("command", json!("A")), ("command", json!("a b")), ("command", json!("/a")),
            ("command", json!("ä")), ("command", json!("a".repeat(33))), ("command", json!("a\0")), ("command", json!(1)),
            ("title", json!("")), ("title", json!(" ")), ("title", json!("x".repeat(81))), ("title", json!("\0")), ("title", json!([])),
            ("content", json!("")), ("content", json!(" \n")), ("content", json!("x".repeat(32_769))), ("content", json!("a\0")),
            ("content", json!({})),
        ] {
            let mut body = prompt("bad");
            body[field] = value.clone();
            for answer in [ana.post("/prompts", body).await, ana.patch(&path, json!({field: value})).await] {
                let text = answer.problem(422, "validation_failed").to_string();
                assert!(text.contains(field) || text.contains("NUL"), "{field}: {text}");
            }
        }
        for field in ["command", "title", "content"] {
            let mut body = prompt("bad");
            body.as_object_mut().unwrap().remove(field);
            ana.post("/prompts", body).await.problem(422, "validation_failed");
        }
        assert_eq!(ana.get("/prompts").await.ok(200)["data"], json!([made]));
        world.server.client().get("/prompts").await.problem(401, "not_authenticated");
        world.server.client().post("/prompts", prompt("x")).await.problem(401, "not_authenticated");
        world.server.client().delete(&path).await.problem(401, "not_authenticated");
    }

    /// A command is taken once, and the 500th place too, however many try at once.
    async fn a_storm_takes_a_command_and_the_last_place_once(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let once = ana.with("idempotency-key", "save-1");
        let first = once.post("/prompts", prompt("first")).await.ok(201);
        assert_eq!(once.post("/prompts", prompt("first")).await.ok(201), first);
        let same = join_all((0..16).map(|_| ana.client.clone().post_owned("/prompts", prompt("same")))).await;
        assert_eq!(same.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in same.iter().filter(|answer| answer.status != 201) {
            answer.problem(409, "command_exists");
        }
        for from in (0..600).step_by(100) {
            let numbers = from..from + 100;
            let answers = join_all(numbers.map(|n| ana.client.clone().post_owned("/prompts", prompt(&format!("n{n}"))))).await;
            let made = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(made, if from < 400 { 100 } else if from == 400 { 98 } else { 0 });
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                answer.problem(409, "too_many");
            }
        }
        assert_eq!(ana.get("/prompts").await.ok(200)["meta"]["total"], 500);
        ana.delete(&format!("/prompts/{}", first["id"].as_str().unwrap())).await.is(200);
        ana.post("/prompts", prompt("first")).await.is(201);
    }
}
