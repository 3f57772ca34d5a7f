//! What is large is read a piece at a time, and an account has only so much, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs
)]

mod common;

use std::time::Duration;

use common::{Place, pieces, places, whole};
use conversations::{
    Conversation, Conversations, Create, ExportFormat, Filter, MIGRATIONS, Message, MessageRole,
    MessageStatus, MessagesQuery, NewMessage, Options, Parent, Patch, Purging, Reading,
};
use kernel::{AccountId, Clock, Context, ConversationId, Ids, Page, Random, TenantId, codes};
use serde_json::{Value, json};
use store::{Durability, Env, Store, params};
use testkit::PostgresDatabase;

/// More than a piece, with the one text that can be above it.
const PIECE: usize = 3 * 128 * 1024;
/// 128 KiB: the longest system prompt there may be.
const WHALES: usize = 32_768;

fn of(page: u32, per_page: u32) -> Page {
    Page::new(Some(page), Some(per_page))
}

fn prompted(title: String, system_prompt: Option<String>) -> Create {
    Create {
        model_id: "m".into(),
        title: Some(title),
        system_prompt,
        ..Create::default()
    }
}

/// All rows, none of whose pieces is large.
async fn in_pieces<T: serde::Serialize>(mut reading: Reading<T>) -> (Vec<T>, usize) {
    let (mut all, mut count) = (Vec::new(), 0);
    while !reading.is_over() {
        let piece = reading.next().await.unwrap();
        let bytes = serde_json::to_string(&piece).unwrap().len();
        assert!(bytes <= PIECE + 1_000 * piece.len(), "{bytes} in a piece");
        all.extend(piece);
        count += 1;
    }
    (all, count)
}

#[tokio::test]
async fn a_page_of_conversations_is_read_in_pieces() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let mut made = Vec::new();
        for n in 0..40 {
            let prompt = match n % 4 {
                0 => None,
                1 => Some(format!("short {n}")),
                2 => Some(format!("{n} {}", "x".repeat(1_300))),
                _ => Some("🐋".repeat(WHALES)),
            };
            place.clock.advance(Duration::from_secs(1));
            made.push(
                part.create(&me, prompted(n.to_string(), prompt))
                    .await
                    .unwrap(),
            );
        }
        made.reverse();
        let list = |page| part.list(&me, page, Filter::default());
        let reading = list(of(1, 100)).await.unwrap();
        assert_eq!((reading.meta().total, reading.meta().pages), (40, 1));
        let (rows, count) = in_pieces(reading).await;
        assert!(rows == made && count >= 10, "{count} on {}", place.name);
        for page in 1..=3 {
            let (rows, _) = in_pieces(list(of(page, 15)).await.unwrap()).await;
            let from = (page as usize - 1) * 15;
            assert!(rows == made[from..(from + 15).min(40)], "page {page}");
        }

        // What changes meanwhile is as it is, what is deleted meanwhile is left out.
        let mut reading = list(of(1, 100)).await.unwrap();
        let mut rows = reading.next().await.unwrap();
        part.delete(&me, made[36].id).await.unwrap();
        let patch = Patch {
            system_prompt: Some(None),
            ..Patch::default()
        };
        part.patch(&me, made[32].id, patch).await.unwrap();
        rows.extend(whole(reading).await.unwrap().data);
        let ids: Vec<ConversationId> = rows.iter().map(|row| row.id).collect();
        let left = made.iter().map(|row| row.id);
        assert_eq!(
            ids,
            left.filter(|id| *id != made[36].id).collect::<Vec<_>>()
        );
        assert_eq!(rows[32].system_prompt, None);
        // Few and short, they come at once.
        let short = place.caller();
        place.create(&short, None).await;
        let reading = part.list(&short, of(1, 100), Filter::default()).await;
        assert_eq!(in_pieces(reading.unwrap()).await.1, 1);
    }
}

#[tokio::test]
async fn a_page_of_messages_is_read_in_pieces_and_every_message_comes() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let id = place.create(&me, None).await.id;
        let mut all = Vec::new();
        for n in 0..45_usize {
            let text = match n % 3 {
                0 => format!("{n}"),
                1 => format!("{n} {}", "ä".repeat(2_000)),
                _ => format!("{n} {}", "x".repeat(100_000)),
            };
            all.push(place.say(&me, id, &text).await);
        }
        let read = |page, before| part.messages(&me, id, MessagesQuery { page, before });
        for per_page in [7, 20, 100] {
            let (mut by_page, mut by_message, mut before) = (Vec::new(), Vec::new(), None);
            for page in 1..=45_u32.div_ceil(per_page) {
                let reading = read(of(page, per_page), None).await.unwrap();
                assert_eq!(reading.meta().total, 45);
                let (rows, _) = in_pieces(reading).await;
                by_page.splice(0..0, rows.into_iter().map(|view| view.message));
                let (rows, _) = in_pieces(read(of(1, per_page), before).await.unwrap()).await;
                before = rows.first().map(|view| view.message.id);
                by_message.splice(0..0, rows.into_iter().map(|view| view.message));
            }
            assert!(by_page == all && by_message == all, "{}", place.name);
        }
        let (rows, count) = in_pieces(read(of(1, 100), None).await.unwrap()).await;
        assert!(count >= 7, "{count}");
        assert!(rows.iter().all(|row| row.sibling_ids == [row.message.id]));

        let mut reading = read(of(1, 100), None).await.unwrap();
        reading.next().await.unwrap();
        part.delete(&me, id).await.unwrap();
        let broken = whole(reading).await.map(drop).unwrap_err();
        assert!(broken.is(codes::NOT_FOUND), "{broken}");
    }
}

/// As the whole file would be written at once.
fn as_json(conversation: &Conversation, messages: &[Message]) -> String {
    #[derive(serde::Serialize)]
    struct File<'a> {
        conversation: &'a Conversation,
        messages: &'a [Message],
    }
    serde_json::to_string_pretty(&File {
        conversation,
        messages,
    })
    .unwrap()
}

#[tokio::test]
async fn a_conversation_s_file_is_made_in_pieces() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let prompt = Some("Be \"brief\".\n\nAlways.\n".to_owned());
        let made = part
            .create(&me, prompted("Logs\nof\na ship".into(), prompt))
            .await;
        let id = made.unwrap().id;
        let json = |id| place.export(&me, id, ExportFormat::Json);
        let md = |id| place.export(&me, id, ExportFormat::Md);
        let now = part.get(&me, id).await.unwrap();
        assert_eq!(json(id).await.unwrap(), as_json(&now, &[]));
        let head = "# Logs of a ship\n\n## System prompt\n\nBe \"brief\".\n\nAlways.\n";
        assert_eq!(md(id).await.unwrap(), head);

        let first = place.say(&me, id, "line\nafter \"line\"\n\n").await;
        let mut other = place
            .say_under(&me, id, Parent::Message(first.id), "other branch")
            .await;
        other.model_id = None;
        let mut all = vec![first.clone(), other];
        let mut text = format!("{head}\n## User\n\nline\nafter \"line\"\n");
        let mut parent = Parent::Message(first.id);
        for n in 0..230 {
            let words = match n < 6 {
                true => format!("{n} {}", "krill ".repeat(20_000)),
                false => n.to_string(),
            };
            let new = NewMessage {
                parent,
                model_id: Some("m".into()),
                status: MessageStatus::Stopped,
                ..NewMessage::new(id, MessageRole::Assistant, &*words)
            };
            all.push(place.append(&me, new).await.unwrap());
            parent = Parent::Head;
            text += &format!(
                "\n## Assistant (m)\n\n{}\n\n_(stopped)_\n",
                words.trim_end()
            );
        }
        let now = part.get(&me, id).await.unwrap();
        assert!(
            json(id).await.unwrap() == as_json(&now, &all),
            "{}",
            place.name
        );
        assert!(md(id).await.unwrap() == text, "{}", place.name);
        for format in [ExportFormat::Md, ExportFormat::Json] {
            let export = part.export(&me, id, format).await.unwrap();
            let pieces = pieces(export).await.unwrap();
            assert!(pieces.len() >= 5, "{} pieces", pieces.len());
            assert!(pieces.iter().all(|piece| piece.len() < 400 * 1024));

            let mut export = part.export(&me, id, format).await.unwrap();
            export.piece().await.unwrap();
            part.delete(&me, id).await.unwrap();
            let broken = common::pieces(export).await.map(drop).unwrap_err();
            assert!(broken.is(codes::NOT_FOUND), "{broken}");
            part.restore(&me, id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_hit_has_no_system_prompt_and_a_letter_is_a_word() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let secret = Some("Instructions nobody asked for".to_owned());
        let made = part.create(&me, prompted("Of whales".into(), secret)).await;
        let id = made.unwrap().id;
        let far = format!("{} a lantern 東京 한국어 7", "other ".repeat(60));
        place.say(&me, id, &far).await;
        let hits = part.search(&me, "lant", Page::default()).await.unwrap();
        let told = serde_json::to_value(&hits.data[0]).unwrap();
        let conversation = told["conversation"].as_object().unwrap();
        assert!(!conversation.contains_key("system_prompt"), "{told}");
        let mut known = json!(part.get(&me, id).await.unwrap());
        known.as_object_mut().unwrap().remove("system_prompt");
        assert_eq!(Value::Object(conversation.clone()), known);
        assert!(hits.data[0].snippet.contains("lantern"));

        for (query, there) in [
            ("la", true),
            ("lan", true),
            ("lantern", true),
            ("a", true),
            ("7", true),
            ("A", true),
            ("l", false),
            ("o", false),
            ("w", false),
            ("whales l", false),
            ("lant a", false),
            ("lantern a", true),
            ("ot la", false),
            ("other la", true),
            ("東", true),
            ("京", true),
            ("東京", true),
            ("京都", false),
            ("한", true),
            ("한국", true),
            ("국", false),
            ("wh", true),
        ] {
            let hits = part.search(&me, query, Page::default()).await.unwrap();
            assert_eq!(hits.meta.total == 1, there, "{query} on {}", place.name);
        }
        let hits = part.search(&me, "a", Page::default()).await.unwrap();
        assert!(
            hits.data[0].snippet.contains(" a lantern"),
            "{}",
            hits.data[0].snippet
        );
    }
}

/// The part with room for so many conversations of an account.
fn room_for(place: &Place, most: u32) -> Conversations {
    let options = Options {
        max_per_account: most,
        ..Options::default()
    };
    let state = state::State::memory(place.clock.clone());
    Conversations::new(place.store.clone(), state, Random::system(), options)
}

fn system(place: &Place, tenant: TenantId) -> Context {
    Context::system("test", tenant, place.ids.next())
}

async fn purge(place: &Place, tenant: TenantId, id: ConversationId) -> Purging {
    let (args, system) = ((place.part.clone(), id), system(place, tenant));
    let purge = place
        .store
        .write(&system, Durability::Fast, args, |uow, (part, id)| {
            Box::pin(async move {
                let step = part.purge_in(uow, *id, 100).await?;
                part.forget_in(uow, *id).await?;
                Ok(step)
            })
        });
    purge.await.unwrap()
}

async fn erase(place: &Place, ctx: &Context) {
    let system = system(place, ctx.tenant());
    let args = (place.part.clone(), ctx.account().unwrap());
    let erase = place
        .store
        .write(&system, Durability::Fast, args, |uow, (part, account)| {
            Box::pin(async move { part.erase_in(uow, *account, 100).await })
        });
    erase.await.unwrap();
}

/// Deleted ones count as long as they are kept, and the last place is taken once.
#[tokio::test]
async fn an_account_has_only_so_many_conversations() {
    for place in places().await {
        let (part, me) = (room_for(&place, 3), place.caller());
        let make = || part.create(&me, prompted("one".into(), None));
        let (one, two) = (make().await.unwrap().id, make().await.unwrap().id);
        let (a, b, c, d) = tokio::join!(make(), make(), make(), make());
        let all = [a, b, c, d];
        let made = all.iter().filter(|made| made.is_ok()).count();
        assert_eq!(made, 1, "{}", place.name);
        for refused in all.iter().flat_map(|made| made.as_ref().err()) {
            assert!(refused.is(codes::TOO_MANY), "{refused}");
        }
        let full = || async { make().await.unwrap_err().is(codes::TOO_MANY) };
        assert_eq!(
            place
                .list(&me, of(1, 20), Filter::default())
                .await
                .unwrap()
                .meta
                .total,
            3
        );
        // Somebody else, and the same account elsewhere, have their own.
        part.create(&place.caller_in(me.tenant()), prompted("x".into(), None))
            .await
            .unwrap();
        place.create(&place.caller(), None).await;

        part.delete(&me, one).await.unwrap();
        part.delete(&me, two).await.unwrap();
        assert!(full().await, "a deleted one is still there");
        part.restore(&me, one).await.unwrap();
        assert!(full().await);
        place.clock.advance(Duration::from_hours(31 * 24));
        assert_eq!(purge(&place, me.tenant(), one).await, Purging::Spared);
        assert!(full().await, "nothing was purged");
        assert_eq!(purge(&place, me.tenant(), two).await, Purging::Emptied);
        assert_eq!(purge(&place, me.tenant(), two).await, Purging::Spared);
        make().await.unwrap();
        assert!(full().await, "one was purged, once");
        let refused = make().await.unwrap_err();
        assert!(refused.detail().contains("3 conversations"), "{refused}");
        erase(&place, &me).await;
        make().await.unwrap();
    }
}

/// What was there before conversations were counted.
#[tokio::test]
async fn older_conversations_are_counted_too() {
    let clock = Clock::manual("2026-11-21T08:00:00Z".parse().unwrap());
    let ids = Ids::new(clock.clone(), Random::system());
    let database = PostgresDatabase::if_here().await;
    let directory = tempfile::tempdir().unwrap();
    let mut places = vec![store::Options::Sqlite {
        directory: directory.path().to_owned(),
        readers: 1,
    }];
    places.extend(database.iter().map(|database| store::Options::Postgres {
        url: database.url(),
        connections: 4,
    }));
    let (older, newest) = MIGRATIONS.split_at(MIGRATIONS.len() - 1);
    assert_eq!(newest[0].name, "20261121_0012_conversations_counted");
    for at in places {
        let env = || Env {
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let tenant: TenantId = ids.next();
        let (one, other): (AccountId, AccountId) = (ids.next(), ids.next());
        let store = Store::open(&at, env(), &[older]).await.unwrap();
        for (account, kind) in [
            (one, None),
            (one, Some("assistant")),
            (other, None),
            (one, None),
        ] {
            let ctx = Context::system("test", tenant, ids.next());
            let args = (account, kind, ids.next::<kernel::kinds::Conversation>());
            let made = store.write(
                &ctx,
                Durability::Durable,
                args,
                |uow, (account, kind, id)| {
                    Box::pin(async move {
                        let (tenant, now) = (uow.tenant()?, uow.now());
                        if let Some(kind) = kind {
                            let sql =
                                "INSERT INTO kept_counts (tenant_id, account_id, kind, things)
                                   VALUES ($1, $2, $3, 7)";
                            return uow.execute(sql, params![tenant, *account, *kind]).await;
                        }
                        uow.execute(
                        "INSERT INTO conversations (id, tenant_id, account_id, title, title_source,
                           model_id, status, pinned, archived, version, created_at, updated_at)
                         VALUES ($1, $2, $3, '', 'none', 'm', 'active', $4, $4, 1, $5, $5)",
                        params![*id, tenant, *account, false, now],
                    )
                    .await
                    })
                },
            );
            made.await.unwrap();
        }
        store.close().await;
        let store = Store::open(&at, env(), &[MIGRATIONS]).await.unwrap();
        let ctx = Context::system("test", tenant, ids.next());
        let counted = store.read(&ctx, (), |reads, ()| {
            Box::pin(async move {
                let sql = "SELECT account_id, kind, things FROM kept_counts
                           WHERE tenant_id = $1 ORDER BY account_id, kind";
                let rows = reads.query(sql, params![reads.tenant()?]).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .collect::<kernel::Result<Vec<(AccountId, String, i64)>>>()
            })
        });
        let row = |account, kind: &str, things| (account, kind.to_owned(), things);
        let expected = [
            row(one, "assistant", 7),
            row(one, "conversation", 2),
            row(other, "conversation", 1),
        ];
        assert_eq!(counted.await.unwrap(), expected);
    }
}
