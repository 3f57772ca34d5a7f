//! Many requests at once on little credit: never overspent, and none refused
//! while it could still be paid.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;
use testkit::{Reply, User, micros, on_both};

use crate::{
    credits::ledger,
    invariants,
    world::{MODEL, World},
};

/// Long enough that nothing small that is left over pays for another one.
const PROMPT: &str = "one two three four five six seven eight nine ten one two three four five six seven eight \
                      nine ten one two three four five six seven eight nine ten and so on !script tokens=10 \
                      first=30ms usage=none";

/// What one such request costs.
async fn cost(world: &World) -> i64 {
    let other = world.server.user("other").await;
    let admin = world.server.admin().await;
    world.server.allocate(&admin, &other, 10.0).await;
    let id = other.conversation(MODEL).await;
    let answer = other
        .post(
            &format!("/sessions/{id}/messages"),
            json!({"prompt": PROMPT}),
        )
        .await
        .ok(200);
    micros(&answer["credits"]["charged"])
}

/// So many at once, each in a conversation of its own.
async fn at_once(ana: &User, count: usize) -> Vec<Reply> {
    let ids = join_all((0..count).map(|_| ana.conversation(MODEL))).await;
    join_all(ids.into_iter().map(|id| {
        let client = ana.apart();
        async move {
            client
                .post(
                    &format!("/sessions/{id}/messages"),
                    json!({"prompt": PROMPT}),
                )
                .await
        }
    }))
    .await
}

fn tally(answers: &[Reply]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.status.as_u16()).or_default() += 1;
    }
    tally
}

#[expect(
    clippy::cast_precision_loss,
    reason = "far below the limit of exact floats"
)]
async fn world_with_funds(
    backend: testkit::Backend,
    funds: impl Fn(i64) -> i64,
) -> (World, User, i64, i64) {
    let world = World::with(backend, |setup| {
        // Nobody gives up while somebody else still holds what they wait for.
        setup
            .set("accounting.signup_grant", 0)
            .set("accounting.hold_wait", "30s");
    })
    .await;
    let one = cost(&world).await;
    let funds = funds(one);
    let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
    world
        .server
        .allocate(&admin, &ana, funds as f64 / 1e6)
        .await;
    assert_eq!(ana.balance().await, (funds, 0));
    (world, ana, one, funds)
}

on_both! {
    async fn of_64_with_funds_for_three_three_are_answered(backend) {
        // A little more than three, and far from a fourth one's prompt.
        let (world, ana, one, funds) = world_with_funds(backend, |one| 3 * one + 12_000).await;
        let answers = at_once(&ana, 64).await;
        assert_eq!(tally(&answers), BTreeMap::from([(200, 3), (402, 61)]));
        for answer in &answers {
            if answer.status == 200 {
                let answer = answer.json();
                assert_eq!(answer["end_reason"], "stop", "{answer}");
                assert_eq!(micros(&answer["credits"]["charged"]), one);
            } else {
                answer.problem(402, "insufficient_credits");
            }
        }
        let (balance, held) = ana.balance().await;
        assert_eq!((balance, held), (funds - 3 * one, 0));
        // What is left pays for no other one: nobody was refused who could have been served.
        let check = ana.post("/credits/check", json!({"model_id": MODEL, "prompt": PROMPT, "max_tokens": 1})).await;
        assert_eq!(check.ok(200)["allowed"], false);
        assert_eq!(world.upstream.requests_with("one two three").len(), 4, "the refused ones were not sent on");
        ledger(&ana).await;
        invariants::hold(&world.server).await;
    }

    /// The holds of all of them do not fit, their costs do: every one is answered.
    async fn those_who_can_be_paid_wait_and_are_answered(backend) {
        let (world, ana, one, funds) = world_with_funds(backend, |one| 16 * one + 600_000).await;
        let answers = at_once(&ana, 16).await;
        assert_eq!(tally(&answers), BTreeMap::from([(200, 16)]));
        assert_eq!(ana.balance().await, (funds - 16 * one, 0));
        invariants::hold(&world.server).await;
    }

    /// Credits that end in the middle of an answer end it cleanly: what was
    /// produced is kept and paid, and a balance is never negative.
    async fn an_answer_ends_where_the_credits_end(backend) {
        let (world, ana, ..) = world_with_funds(backend, |_| 150_000).await;
        let id = ana.conversation(MODEL).await;
        let prompt = "Tell me all !script tokens=500 delay=1ms";
        let answer = ana.stream(&format!("/sessions/{id}/messages/stream"), json!({"prompt": prompt})).await.whole().await;
        let end = answer.end();
        assert_eq!(end["end_reason"], "insufficient_credits");
        assert!(!answer.text.is_empty() && crate::world::truth(prompt).starts_with(&answer.text));
        assert_eq!(end["message"]["content"], answer.text.as_str());
        assert_eq!(end["message"]["end_reason"], "insufficient_credits");
        let (balance, held) = ana.balance().await;
        assert!((0..8_000).contains(&balance) && held == 0, "{balance} {held}");
        world.upstream.wait_for(|request| request.aborted).await;
        // And nothing begins without credits.
        ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": prompt})).await.problem(402, "insufficient_credits");
        let refused = ana.try_stream(&format!("/sessions/{id}/stream"), json!({"prompt": prompt})).await;
        refused.unwrap_err().unwrap().problem(402, "insufficient_credits");
        assert_eq!(crate::world::messages(&ana, &id).await.len(), 2, "a refused prompt is not stored");
        invariants::hold(&world.server).await;
    }

    /// A call that cannot be extended (it is not streamed, or reasons unseen) holds all that it may produce, is
    /// asked for no more than that, and gives it back.
    async fn what_cannot_grow_is_held_whole(backend) {
        let world = World::with(backend, |setup| {
            let provider = "input_price = 1\noutput_price = 2\ndeployments = [{provider = \"upstream\"";
            setup.set("accounting.signup_grant", 0).add(&format!(
                "[[models]]\nid = \"whole\"\ncontext_window = 8192\n{provider}, stream = false}}]\n\
                 [[models]]\nid = \"thinks\"\ncontext_window = 8192\nhidden_reasoning = true\n{provider}}}]"
            ));
        })
        .await;
        let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
        world.server.allocate(&admin, &ana, 9.0).await;
        // The length asked for; the output tokens that are held, and those that the provider is asked for.
        for (model, max_tokens, held, asked) in [
            (MODEL, Some(1_000), 256..=256, Some(1_000)),
            (MODEL, None, 256..=256, None),
            ("whole", Some(1_000), 1_000..=1_000, Some(1_000)),
            ("thinks", Some(1_000), 1_000..=1_000, Some(1_000)),
            // More than can be paid: what is left of 4,500 after the prompt.
            ("whole", Some(6_000), 4_450..=4_499, None),
            ("thinks", None, 4_450..=4_499, None),
        ] {
            let id = ana.conversation(model).await;
            let prompt = format!("Hang on, {model} {max_tokens:?}, so that it is seen !script hang");
            let mut body = json!({"prompt": prompt});
            if let Some(max_tokens) = max_tokens {
                body["max_tokens"] = json!(max_tokens);
            }
            let answer = ana.stream(&format!("/sessions/{id}/messages/stream"), body).await;
            let sent = world.upstream.wait_for(|request| request.prompt == prompt).await;
            let sent: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
            let (balance, now) = ana.balance().await;
            assert_eq!(balance + now, 9_000_000, "{prompt}");
            let limit = sent["max_tokens"].as_i64();
            let tokens = if model == MODEL || asked.is_some() { *held.start() } else { limit.unwrap() };
            assert!(held.contains(&tokens), "{sent}");
            // 2,000 a token, and 1,000 for each of the prompt.
            assert!((1..=100).contains(&(now / 1_000 - 2 * tokens)), "{prompt}: {now}");
            assert!(limit == asked || limit == Some(tokens), "{sent}");
            ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
            answer.whole().await;
            assert_eq!(ana.balance().await, (9_000_000, 0), "{prompt}");
        }
        invariants::hold(&world.server).await;
    }
}
