//! Conversations on both databases: whose they are, the tree, races, listing,
//! searching and deletion.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs
)]

mod common;

use std::time::Duration;

use common::{Place, places};
use conversations::{
    ExportFormat, Filter, MessageRole, MessageStatus, MessagesQuery, NewMessage, Parent, Patch,
    TitleSource,
};
use kernel::{Context, Idempotency, Page, RunId, codes};
use proptest::{prelude::*, test_runner::TestRunner};
use store::{Durability, params};

#[tokio::test]
async fn nobody_else_finds_a_conversation() {
    for place in places().await {
        let mine = place.caller();
        let neighbour = place.caller_in(mine.tenant());
        let foreign = place.caller();
        let id = place.create(&mine, Some("Secret plans")).await.id;
        let message = place.say(&mine, id, "the secret word").await;
        for other in [&neighbour, &foreign] {
            let part = &place.part;
            let gone = |code: kernel::Error| assert!(code.is(codes::NOT_FOUND), "{code}");
            gone(part.get(other, id).await.unwrap_err());
            gone(part.patch(other, id, Patch::default()).await.unwrap_err());
            gone(part.delete(other, id).await.unwrap_err());
            gone(
                place
                    .messages(other, id, Default::default())
                    .await
                    .unwrap_err(),
            );
            gone(
                place
                    .export(other, id, ExportFormat::Json)
                    .await
                    .unwrap_err(),
            );
            let new = NewMessage::new(id, MessageRole::User, "x");
            gone(place.append(other, new).await.unwrap_err());
            assert_eq!(
                place
                    .list(other, Page::default(), Filter::default())
                    .await
                    .unwrap()
                    .meta
                    .total,
                0
            );
            assert_eq!(
                part.search(other, "secret", Page::default())
                    .await
                    .unwrap()
                    .meta
                    .total,
                0
            );
            // A foreign message is no parent and no head of one's own.
            let own = place.create(other, None).await.id;
            let parent = Parent::Message(message.id);
            let new = NewMessage {
                parent,
                ..NewMessage::new(own, MessageRole::User, "x")
            };
            gone(place.append(other, new).await.unwrap_err());
            let patch = Patch {
                head: Some(message.id),
                ..Patch::default()
            };
            gone(part.patch(other, own, patch).await.unwrap_err());
            let query = MessagesQuery {
                before: Some(message.id),
                ..Default::default()
            };
            gone(place.messages(other, own, query).await.unwrap_err());
        }
        assert_eq!(
            place
                .part
                .search(&mine, "secret", Page::default())
                .await
                .unwrap()
                .meta
                .total,
            1
        );
        let anonymous = Context::new(mine.tenant(), kernel::Actor::Anonymous, place.ids.next());
        assert!(
            place
                .part
                .get(&anonymous, id)
                .await
                .unwrap_err()
                .is(codes::NOT_AUTHENTICATED)
        );
    }
}

#[tokio::test]
async fn edits_and_regenerations_are_siblings() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let first = place.say(&me, id, "q1").await;
        let answer = place.say_under(&me, id, Parent::Head, "a1").await;
        let again = place
            .say_under(&me, id, Parent::beside(&answer), "a1 again")
            .await;
        place.say(&me, id, "q2").await;
        assert_eq!(place.shown(&me, id).await, ["q1", "a1 again", "q2"]);
        let edited = place
            .say_under(&me, id, Parent::beside(&first), "q1 edited")
            .await;
        assert_eq!((edited.parent_id, edited.depth), (None, 0));
        assert_eq!(place.shown(&me, id).await, ["q1 edited"]);

        // Back to the first answer: its newest leaf is itself.
        let to = |head| Patch {
            head: Some(head),
            ..Patch::default()
        };
        let switched = place.part.patch(&me, id, to(answer.id)).await.unwrap();
        assert_eq!(switched.head, Some(answer.id));
        let page = place.messages(&me, id, Default::default()).await.unwrap();
        assert_eq!(page.meta.total, 2);
        assert_eq!(page.data[0].sibling_ids, [first.id, edited.id]);
        assert_eq!(page.data[1].sibling_ids, [answer.id, again.id]);
        assert_eq!(
            (page.data[0].sibling_index, page.data[1].sibling_index),
            (0, 0)
        );
        // Back to the first question: the newest leaf below it is q2.
        place.part.patch(&me, id, to(first.id)).await.unwrap();
        assert_eq!(place.shown(&me, id).await, ["q1", "a1 again", "q2"]);

        let system = me.as_system("test");
        let refused = place
            .store
            .write(&system, Durability::Fast, first.id, |uow, id| {
                Box::pin(async move {
                    let tenant = uow.tenant()?;
                    uow.execute(
                        "UPDATE messages SET content = 'x' WHERE tenant_id = $1 AND id = $2",
                        params![tenant, *id],
                    )
                    .await
                })
            });
        assert!(refused.await.is_err(), "messages never change");
        assert_eq!(place.shown(&me, id).await[0], "q1");

        let json = place.export(&me, id, ExportFormat::Json).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["messages"].as_array().unwrap().len(), 5);
        let md = place.export(&me, id, ExportFormat::Md).await.unwrap();
        assert!(md.contains("a1 again") && !md.contains("edited"), "{}", md);
    }
}

#[tokio::test]
async fn two_devices_cannot_overwrite_each_other() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let head = place.say(&me, id, "start").await.id;
        let send = |n: usize, expected| {
            let new = NewMessage {
                expected_head: Some(expected),
                ..NewMessage::new(id, MessageRole::User, format!("device {n}"))
            };
            place.append(&me, new)
        };
        let tries = [
            send(0, Some(head)),
            send(1, Some(head)),
            send(2, Some(head)),
            send(3, Some(head)),
        ];
        let mut won = 0;
        let [a, b, c, d] = tries;
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        for result in [a, b, c, d] {
            match result {
                Ok(_) => won += 1,
                Err(error) => assert!(error.is(codes::CONFLICT), "{error}"),
            }
        }
        assert_eq!(won, 1, "{}", place.name);
        assert_eq!(place.shown(&me, id).await.len(), 2);
        assert!(send(9, None).await.unwrap_err().is(codes::CONFLICT));
    }
}

#[tokio::test]
async fn one_run_at_a_time_has_the_conversation() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let one = place.say(&me, id, "one").await;
        let claim = |ctx: &kernel::Context, run: RunId, take: bool| {
            let (store, ctx) = (place.store.clone(), ctx.clone());
            let args = (place.part.clone(), id, run, take);
            async move {
                let work = store.write(
                    &ctx,
                    Durability::Fast,
                    args,
                    |uow, (part, id, run, take)| {
                        Box::pin(async move {
                            let mut locked = part.lock_in(uow, *id).await?;
                            match take {
                                true => locked.claim(*run)?,
                                false => locked.unclaim(*run),
                            }
                            locked.save(uow).await
                        })
                    },
                );
                work.await
            }
        };
        let runs: Vec<RunId> = (0..6).map(|_| place.ids.next()).collect();
        let [a, b, c] = [runs[0], runs[1], runs[2]].map(|run| claim(&me, run, true));
        let (a, b, c) = tokio::join!(a, b, c);
        let results = [a, b, c];
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
        assert!(
            results
                .iter()
                .flat_map(|r| r.as_ref().err())
                .all(|e| e.is(codes::CONVERSATION_BUSY))
        );
        let winner = place.part.get(&me, id).await.unwrap().active_run.unwrap();
        claim(&me, winner, true).await.unwrap();
        let patch = Patch {
            head: Some(one.id),
            ..Patch::default()
        };
        assert!(
            place
                .part
                .patch(&me, id, patch)
                .await
                .unwrap_err()
                .is(codes::CONVERSATION_BUSY)
        );
        claim(&me, runs[5], false).await.unwrap();
        assert!(
            claim(&me, runs[5], true)
                .await
                .unwrap_err()
                .is(codes::CONVERSATION_BUSY)
        );
        claim(&me, winner, false).await.unwrap();
        claim(&me, runs[5], true).await.unwrap();

        // Deleted while the run goes on: its end is stored, and shown to nobody.
        let deleted = place.part.delete(&me, id).await.unwrap();
        assert_eq!(deleted.active_run, Some(runs[5]));
        let system = me.as_system("finish");
        let new = NewMessage {
            status: MessageStatus::Interrupted,
            ..NewMessage::new(id, MessageRole::Assistant, "late")
        };
        place.append(&system, new.clone()).await.unwrap();
        assert!(
            place
                .append(&me, new)
                .await
                .unwrap_err()
                .is(codes::NOT_FOUND)
        );
        claim(&system, runs[5], false).await.unwrap();
        assert_eq!(
            place
                .part
                .search(&me, "late", Page::default())
                .await
                .unwrap()
                .meta
                .total,
            0
        );
    }
}

#[tokio::test]
async fn a_deleted_conversation_is_nowhere() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Gone tomorrow")).await.id;
        place.create(&me, Some("Stays")).await;
        place.say(&me, id, "forgettable").await;
        assert!(!place.part.delete(&me, id).await.unwrap().message.is_empty());
        let part = &place.part;
        assert!(part.get(&me, id).await.unwrap_err().is(codes::NOT_FOUND));
        assert!(part.delete(&me, id).await.unwrap_err().is(codes::NOT_FOUND));
        assert!(
            place
                .messages(&me, id, Default::default())
                .await
                .unwrap_err()
                .is(codes::NOT_FOUND)
        );
        let list = place
            .list(&me, Page::default(), Filter::default())
            .await
            .unwrap();
        assert_eq!((list.meta.total, list.data.len()), (1, 1));
        for word in ["gone", "forgettable"] {
            assert_eq!(
                part.search(&me, word, Page::default())
                    .await
                    .unwrap()
                    .meta
                    .total,
                0
            );
        }
    }
}

#[tokio::test]
async fn lists_show_pinned_ones_first_and_count_right() {
    for place in places().await {
        let me = place.caller();
        let mut ids = Vec::new();
        for n in 0..5 {
            place.clock.advance(Duration::from_secs(1));
            ids.push(place.create(&me, Some(&format!("c{n}"))).await.id);
        }
        place.clock.advance(Duration::from_secs(1));
        place.say(&me, ids[1], "newest").await;
        let set = |pinned, archived| Patch {
            pinned,
            archived,
            ..Patch::default()
        };
        let part = &place.part;
        part.patch(&me, ids[0], set(Some(true), None))
            .await
            .unwrap();
        part.patch(&me, ids[4], set(None, Some(true)))
            .await
            .unwrap();
        let titles = async |filter, page| {
            let list = place.list(&me, page, filter).await.unwrap();
            let titles: Vec<_> = list.data.into_iter().map(|c| c.title).collect();
            (titles.join(" "), list.meta.total)
        };
        let all = Filter::default();
        assert_eq!(
            titles(all, Page::default()).await,
            ("c0 c1 c3 c2".into(), 4)
        );
        assert_eq!(
            titles(all, Page::new(Some(2), Some(3))).await,
            ("c2".into(), 4)
        );
        assert_eq!(
            titles(
                Filter {
                    archived: true,
                    pinned: None
                },
                Page::default()
            )
            .await,
            ("c4".into(), 1)
        );
        assert_eq!(
            titles(
                Filter {
                    archived: false,
                    pinned: Some(true)
                },
                Page::default()
            )
            .await,
            ("c0".into(), 1)
        );
        part.patch(&me, ids[0], set(Some(true), Some(true)))
            .await
            .unwrap();
        part.delete(&me, ids[0]).await.unwrap();
        assert_eq!(titles(all, Page::default()).await, ("c1 c3 c2".into(), 3));
        assert_eq!(
            titles(
                Filter {
                    archived: true,
                    pinned: None
                },
                Page::default()
            )
            .await,
            ("c4".into(), 1)
        );
    }
}

#[tokio::test]
async fn a_person_has_the_last_word_on_a_title() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let name = |title: &str| {
            let args = (place.part.clone(), id, title.to_owned());
            place
                .store
                .write(&me, Durability::Fast, args, |uow, (part, id, title)| {
                    Box::pin(async move {
                        let mut locked = part.lock_in(uow, *id).await?;
                        let named = locked.name(title, TitleSource::Heuristic);
                        locked.save(uow).await.map(|()| named)
                    })
                })
        };
        assert!(name("First\0").await.unwrap());
        assert_eq!(place.part.get(&me, id).await.unwrap().title, "First");
        let patch = Patch {
            title: Some(" Mine ".into()),
            ..Patch::default()
        };
        let patched = place.part.patch(&me, id, patch).await.unwrap();
        assert_eq!(
            (patched.title.as_str(), patched.title_source),
            ("Mine", TitleSource::Person)
        );
        assert!(!name("Second").await.unwrap());
        assert_eq!(
            place
                .part
                .search(&me, "first", Page::default())
                .await
                .unwrap()
                .meta
                .total,
            0
        );
        assert_eq!(
            place
                .part
                .search(&me, "mine", Page::default())
                .await
                .unwrap()
                .meta
                .total,
            1
        );
        let stale = Patch {
            title: Some("x".into()),
            version: Some(1),
            ..Patch::default()
        };
        assert!(
            place
                .part
                .patch(&me, id, stale)
                .await
                .unwrap_err()
                .is(codes::CONFLICT)
        );
    }
}

/// Titles are pasted from anywhere; what nobody sees of them is not kept.
#[tokio::test]
async fn a_title_is_what_is_seen_of_it() {
    for place in places().await {
        let me = place.caller();
        let made = place
            .create(&me, Some("\u{202e}Trip\u{200b}\nto Cádiz "))
            .await;
        assert_eq!(made.title, "Trip to Cádiz");
        for (given, kept, source) in [
            (
                "\u{feff}می\u{200c}خواهم",
                "می\u{200c}خواهم",
                TitleSource::Person,
            ),
            (" \u{2066}\u{2069} ", "", TitleSource::None),
        ] {
            let patch = Patch {
                title: Some(given.into()),
                ..Patch::default()
            };
            let patched = place.part.patch(&me, made.id, patch).await.unwrap();
            assert_eq!(
                (patched.title.as_str(), patched.title_source),
                (kept, source)
            );
        }
    }
}

#[tokio::test]
async fn unacceptable_texts_are_refused() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let bad = [
            Patch {
                title: Some("a\0b".into()),
                ..Patch::default()
            },
            Patch {
                title: Some("ü".repeat(201)),
                ..Patch::default()
            },
            Patch {
                system_prompt: Some(Some("x".repeat(32_769))),
                ..Patch::default()
            },
            Patch {
                model_id: Some("\0".into()),
                ..Patch::default()
            },
        ];
        for patch in bad {
            assert!(
                place
                    .part
                    .patch(&me, id, patch)
                    .await
                    .unwrap_err()
                    .is(codes::VALIDATION_FAILED)
            );
        }
        let new = NewMessage::new(id, MessageRole::User, "\0");
        assert!(
            place
                .append(&me, new)
                .await
                .unwrap_err()
                .is(codes::VALIDATION_FAILED)
        );
        for prompt in ["", " \n\t", "a\0", &"x".repeat(256 * 1024 + 1)] {
            assert!(
                place
                    .part
                    .validate_prompt(prompt)
                    .unwrap_err()
                    .is(codes::VALIDATION_FAILED)
            );
        }
        place.part.validate_prompt(&"x".repeat(256 * 1024)).unwrap();
        let title = Patch {
            title: Some("ü".repeat(200)),
            ..Patch::default()
        };
        place.part.patch(&me, id, title).await.unwrap();
        // As large as a prompt may be, and nothing but different words.
        let huge: String = (0..60_000).map(|n| format!("w{n:05x} ")).collect();
        place.say(&me, id, &huge[..256 * 1024]).await;
        assert_eq!(
            place
                .part
                .search(&me, "w00abc", Page::default())
                .await
                .unwrap()
                .meta
                .total,
            1
        );
    }
}

#[tokio::test]
async fn one_key_makes_one_conversation() {
    for place in places().await {
        let key = Idempotency {
            key: "k".into(),
            fingerprint: [7; 32],
        };
        let me = place.caller().with_idempotency(Some(key));
        let create = || place.create(&me, Some("once"));
        let (a, b, c) = tokio::join!(create(), create(), create());
        assert!(a == b && b == c);
        assert_eq!(
            place
                .list(&me, Page::default(), Filter::default())
                .await
                .unwrap()
                .meta
                .total,
            1
        );
    }
}

async fn found(place: &Place, me: &Context, query: &str) -> Vec<String> {
    let page = place.part.search(me, query, Page::default()).await.unwrap();
    page.data.into_iter().map(|hit| hit.snippet).collect()
}

#[tokio::test]
async fn search_finds_words_of_titles_and_messages() {
    for place in places().await {
        let me = place.caller();
        let one = place.create(&me, Some("Café in Cádiz")).await.id;
        place
            .say(
                &me,
                one,
                "What about AND, OR, NOT and NEAR? It's 東京 (foo.bar@x-y.org)",
            )
            .await;
        let two = place.create(&me, Some("Other")).await.id;
        place.say(&me, two, "the lighthouse of Cádiz").await;
        assert_eq!(
            found(&place, &me, "cadiz").await,
            ["Café in Cádiz", "the lighthouse of Cádiz"]
        );
        assert_eq!(
            found(&place, &me, "CÁDIZ light").await,
            ["the lighthouse of Cádiz"]
        );
        assert_eq!(found(&place, &me, "cadiz houselight").await.len(), 0);
        for query in [
            "京",
            "and near",
            "bar@x",
            "it's",
            "foo.bar",
            "NOT",
            "\"東京\"",
            "AND*",
        ] {
            assert_eq!(
                found(&place, &me, query).await.len(),
                1,
                "{query} on {}",
                place.name
            );
        }
        assert!(found(&place, &me, " * ").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_is_an_error() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Anything")).await.id;
        let hostile =
            "\\PC{0,40}|[\"'*():^&|!<>\\\\ \0-]{0,20}|(AND|OR|NOT|NEAR|\"|\\(|owner:|a| ){0,9}";
        let mut runner = TestRunner::new(ProptestConfig::with_cases(150));
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runner.run(&(hostile, "(.|\n){0,60}"), |(query, text)| {
                handle.block_on(async {
                    place
                        .part
                        .search(&me, &query, Page::default())
                        .await
                        .unwrap();
                    let text = text.replace('\0', "");
                    place.say(&me, id, &text).await;
                    // What was written is found by its own first word.
                    let word: String = text
                        .chars()
                        .take_while(|c| c.is_alphanumeric())
                        .take(64)
                        .collect();
                    // A mark alone is no word.
                    if word.contains(|c: char| c.is_ascii_alphanumeric()) {
                        assert!(!found(&place, &me, &word).await.is_empty(), "{word:?}");
                    }
                });
                Ok(())
            })
        })
        .unwrap();
    }
}

#[tokio::test]
async fn a_long_conversation_is_read_a_page_at_a_time() {
    for place in places().await {
        let me = place.caller();
        let (id, all) = place.long(&me, 1_030).await;
        let per_page = |page| Page::new(Some(page), Some(100));
        let newest = place
            .messages(
                &me,
                id,
                MessagesQuery {
                    page: per_page(1),
                    before: None,
                },
            )
            .await
            .unwrap();
        assert_eq!((newest.meta.total, newest.meta.pages), (1_030, 11));
        assert_eq!(newest.data.last().unwrap().message.id, all[1_029]);
        // Upward by page and by message, the same messages come, each once.
        let (mut by_page, mut by_message) = (Vec::new(), Vec::new());
        let mut before = None;
        for page in 1..=11 {
            let query = MessagesQuery {
                page: per_page(page),
                before: None,
            };
            let rows = place.messages(&me, id, query).await.unwrap().data;
            by_page.splice(0..0, rows.into_iter().map(|view| view.message.id));
            let query = MessagesQuery {
                page: per_page(1),
                before,
            };
            let rows = place.messages(&me, id, query).await.unwrap().data;
            before = rows.first().map(|view| view.message.id);
            by_message.splice(0..0, rows.into_iter().map(|view| view.message.id));
        }
        assert!(by_page == all && by_message == all, "{}", place.name);
        let query = MessagesQuery {
            page: per_page(12),
            before: None,
        };
        assert!(
            place
                .messages(&me, id, query)
                .await
                .unwrap()
                .data
                .is_empty()
        );
        let query = MessagesQuery {
            page: per_page(1),
            before,
        };
        assert!(
            place
                .messages(&me, id, query)
                .await
                .unwrap()
                .data
                .is_empty()
        );

        let args = (place.part.clone(), id, all[1_029]);
        let up = place.store.read(&me, args, |reads, (part, id, leaf)| {
            Box::pin(async move { part.branch_up(reads, *id, *leaf, 3, u64::MAX).await })
        });
        let up: Vec<_> = up.await.unwrap().into_iter().map(|m| m.id).collect();
        assert_eq!(up, [all[1_029], all[1_028], all[1_027]]);
    }
}

#[tokio::test]
async fn a_branch_is_read_upward_until_it_has_so_many_bytes() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let mut leaf = None;
        for _ in 0..6 {
            // 500 characters of two bytes each.
            leaf = Some(place.say(&me, id, &"\u{e9}".repeat(500)).await.id);
        }
        for (most, expected) in [
            (0, 1),
            (999, 1),
            (1_000, 1),
            (1_001, 2),
            (2_500, 3),
            (u64::MAX, 6),
        ] {
            let args = (place.part.clone(), id, leaf.unwrap());
            let up = place.store.read(&me, args, move |reads, (part, id, leaf)| {
                Box::pin(async move { part.branch_up(reads, *id, *leaf, 100, most).await })
            });
            let up = up.await.unwrap();
            assert_eq!(
                (up.len(), up[0].id),
                (expected, leaf.unwrap()),
                "{}: {most}",
                place.name
            );
        }
    }
}

#[tokio::test]
async fn what_happens_is_published_in_order() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        place.say(&me, id, "hello").await;
        place.part.delete(&me, id).await.unwrap();
        let system = Context::system(
            "test",
            kernel::TenantId::from_uuid(Default::default()),
            place.ids.next(),
        );
        // On PostgreSQL they appear once no older transaction of the server is open.
        let mut events = Vec::new();
        for _ in 0..500 {
            let read = place.store.read(&system, (), |reads, ()| {
                Box::pin(
                    async move { Ok(store::read_outbox(reads, Default::default(), 10).await?.0) },
                )
            });
            events = read.await.unwrap();
            if events.len() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let kinds: Vec<_> = events
            .iter()
            .map(|(e, _)| (e.kind.as_str(), e.sequence))
            .collect();
        assert_eq!(
            kinds,
            [
                ("conversation.created", 1),
                ("message.created", 2),
                ("conversation.deleted", 3)
            ]
        );
        assert!(
            events
                .iter()
                .all(|(e, _)| e.key == id.to_string() && !e.payload.to_string().contains("hello"))
        );
    }
}
