//! Deleting, restoring and purging, and sharing, on both databases.
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
    Conversations, Create, Filter, MessageRole, NewMessage, Parent, Patch, Purging, Share,
    SharedConversation,
};
use kernel::{
    Actor, Context, ConversationId, Error, MessageId, Page, Random, Result, Role, Roles, TenantId,
    codes,
};
use store::{Durability, params};

const DAY: Duration = Duration::from_hours(24);

fn gone<T: std::fmt::Debug>(result: Result<T>) {
    let error: Error = result.unwrap_err();
    assert!(error.is(codes::NOT_FOUND), "{error}");
}

async fn listed(place: &Place, ctx: &Context, filter: Filter) -> (i64, usize) {
    let page = place.list(ctx, Page::default(), filter).await.unwrap();
    (page.meta.total, page.data.len())
}

async fn found(place: &Place, ctx: &Context, words: &str) -> i64 {
    let hits = place.part.search(ctx, words, Page::default()).await;
    hits.unwrap().meta.total
}

fn system(place: &Place, tenant: TenantId) -> Context {
    Context::system("test", tenant, place.ids.next())
}

/// Everything that is due, as the platform does it.
async fn purge(place: &Place, most: u32) -> usize {
    let everywhere = system(place, TenantId::from_uuid(Default::default()));
    let due = place.part.due_for_purge(&everywhere, 50).await.unwrap();
    for (tenant, id) in &due {
        while step(place, *tenant, *id, most).await == Purging::More {}
    }
    due.len()
}

async fn step(place: &Place, tenant: TenantId, id: ConversationId, most: u32) -> Purging {
    let (args, system) = ((place.part.clone(), id, most), system(place, tenant));
    let step = place
        .store
        .write(&system, Durability::Fast, args, |uow, (part, id, most)| {
            Box::pin(async move {
                let step = part.purge_in(uow, *id, *most).await?;
                if step == Purging::Emptied {
                    part.forget_in(uow, *id).await?;
                }
                Ok(step)
            })
        });
    step.await.unwrap()
}

async fn shared(place: &Place, token: &str) -> Result<SharedConversation> {
    part_of(place, token, None, 100).await
}

/// As whoever has the link sees it; whose it is stays with the platform.
async fn part_of(
    place: &Place,
    token: &str,
    before: Option<MessageId>,
    most: i64,
) -> Result<SharedConversation> {
    let tenant = place.ids.next();
    let nobody = Context::new(tenant, Actor::Anonymous, place.ids.next());
    let tenant = place.part.tenant_of_share(&nobody, token).await?;
    let reader = Context::new(tenant, Actor::Anonymous, place.ids.next());
    let args = (place.part.clone(), token.to_owned(), before, most);
    let shared = place
        .store
        .read(&reader, args, |reads, (part, token, before, most)| {
            Box::pin(async move { part.shared_in(reads, token, *before, *most).await })
        });
    Ok(shared.await?.1)
}

fn words(shared: &SharedConversation) -> Vec<&str> {
    let messages = shared.messages.iter();
    messages.map(|m| m.content.as_str()).collect()
}

async fn share(place: &Place, ctx: &Context, id: ConversationId) -> Share {
    place.part.share(ctx, id, false).await.unwrap().0
}

#[tokio::test]
async fn a_deletion_can_be_undone_for_thirty_days() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Lighthouses")).await.id;
        place.create(&me, Some("Other")).await;
        let first = place.say(&me, id, "about whales").await;
        place
            .say_under(&me, id, Parent::beside(&first), "about otters")
            .await;
        let pin = Patch {
            pinned: Some(true),
            ..Patch::default()
        };
        let before = place.part.patch(&me, id, pin).await.unwrap();
        let pinned = Filter {
            pinned: Some(true),
            ..Filter::default()
        };
        assert_eq!(listed(&place, &me, pinned).await, (1, 1));
        gone(place.part.restore(&me, id).await);

        place.clock.advance(Duration::from_secs(60));
        place.part.delete(&me, id).await.unwrap();
        assert_eq!(listed(&place, &me, Filter::default()).await, (1, 1));
        assert_eq!(listed(&place, &me, pinned).await, (0, 0));
        for word in ["lighthouses", "whales", "otters"] {
            assert_eq!(found(&place, &me, word).await, 0);
        }
        for other in [place.caller_in(me.tenant()), place.caller()] {
            gone(place.part.restore(&other, id).await);
        }

        place.clock.advance(30 * DAY - Duration::from_secs(1));
        assert_eq!(purge(&place, 10).await, 0);
        let after = place.part.restore(&me, id).await.unwrap();
        assert_eq!(after, place.part.get(&me, id).await.unwrap());
        let mut same = before.clone();
        same.version = before.version + 2;
        assert_eq!(after, same, "{}: as it was, also in the list", place.name);
        assert_eq!(listed(&place, &me, Filter::default()).await, (2, 2));
        assert_eq!(listed(&place, &me, pinned).await, (1, 1));
        for word in ["lighthouses", "whales", "otters"] {
            assert_eq!(found(&place, &me, word).await, 1, "{word}");
        }
        assert_eq!(place.shown(&me, id).await, ["about otters"]);
        place.say(&me, id, "and on").await;
        gone(place.part.restore(&me, id).await);

        place.part.delete(&me, id).await.unwrap();
        place.clock.advance(30 * DAY);
        gone(place.part.restore(&me, id).await);
    }
}

#[tokio::test]
async fn restoring_twice_at_once_counts_once() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Once")).await.id;
        place.part.delete(&me, id).await.unwrap();
        let restore = || place.part.restore(&me, id);
        let (a, b, c, d) = tokio::join!(restore(), restore(), restore(), restore());
        let won = [a, b, c, d].into_iter().filter(|r| r.is_ok()).count();
        assert_eq!(won, 1, "{}", place.name);
        assert_eq!(listed(&place, &me, Filter::default()).await, (1, 1));
        assert_eq!(found(&place, &me, "once").await, 1);
    }
}

/// A large conversation is there at once; the words of its messages follow, each of them once.
#[tokio::test]
async fn a_restored_conversation_is_indexed_piece_by_piece() {
    for place in places().await {
        let me = place.caller();
        let (id, all) = place.long(&me, 450).await;
        let side = Parent::Message(all[3]);
        place.say_under(&me, id, side, "another branch").await;
        let texts = rows(&place, "conversation_texts").await;
        assert_eq!(texts, 452, "{}: the title, too", place.name);
        let late = place.ids.next();
        place.part.delete(&me, id).await.unwrap();
        assert_eq!(rows(&place, "conversation_texts").await, 0);

        place.part.restore(&me, id).await.unwrap();
        let everywhere = system(&place, TenantId::from_uuid(Default::default()));
        assert_eq!(rows(&place, "conversation_texts").await, 201);
        assert_eq!(listed(&place, &me, Filter::default()).await, (1, 1));
        assert_eq!(found(&place, &me, "long").await, 1);
        assert_eq!(found(&place, &me, "message 198").await, 1);
        assert_eq!(found(&place, &me, "message 449").await, 0);
        assert!(place.part.unindexed(&me).await.is_err());
        let left = place.part.unindexed(&everywhere).await.unwrap();
        assert_eq!(left, [(me.tenant(), id)], "{}", place.name);

        // It goes on meanwhile: below the first messages, at the end, and with an id from before.
        let early = Parent::Message(all[0]);
        place.say_under(&me, id, early, "an early aside").await;
        let announced = NewMessage {
            id: Some(late),
            parent: Parent::Message(all[449]),
            ..NewMessage::new(id, MessageRole::Assistant, "a late answer")
        };
        place.append(&me, announced).await.unwrap();
        // Another process takes it up where this one was killed.
        let other = Conversations::new(
            place.store.clone(),
            state::State::memory(place.clock.clone()),
            Random::system(),
            Default::default(),
        );
        let step = || other.index_piece(&everywhere, me.tenant(), id, 100);
        step().await.unwrap();
        assert_eq!(rows(&place, "conversation_texts").await, 303);
        // Both nodes at once, and once too often.
        let (one, two) = tokio::join!(step(), place.part.index_restored(&everywhere));
        one.and(two).unwrap();
        step().await.unwrap();
        assert_eq!(rows(&place, "conversation_texts").await, texts + 2);
        assert_eq!(found(&place, &me, "message 449").await, 1);
        for word in ["aside", "late", "another"] {
            assert_eq!(found(&place, &me, word).await, 1, "{word}");
        }
        let left = place.part.unindexed(&everywhere).await.unwrap();
        assert_eq!(left, [], "{}", place.name);
    }
}

/// What is deleted again is not indexed, and begins anew when it is restored again.
#[tokio::test]
async fn a_deletion_ends_the_indexing() {
    for place in places().await {
        let me = place.caller();
        let (id, _) = place.long(&me, 210).await;
        let everywhere = system(&place, TenantId::from_uuid(Default::default()));
        for _ in 0..2 {
            place.part.delete(&me, id).await.unwrap();
            let left = place.part.unindexed(&everywhere).await.unwrap();
            assert_eq!(left, [], "{}", place.name);
            let piece = place.part.index_piece(&everywhere, me.tenant(), id, 100);
            piece.await.unwrap();
            assert_eq!(rows(&place, "conversation_texts").await, 0);
            place.part.restore(&me, id).await.unwrap();
            assert_eq!(rows(&place, "conversation_texts").await, 201);
        }
        place.part.index_restored(&everywhere).await.unwrap();
        assert_eq!(rows(&place, "conversation_texts").await, 211);
    }
}

/// Long texts make short pieces, of what is indexed and of what is taken along.
#[tokio::test]
async fn pieces_are_bounded_by_bytes() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Large")).await.id;
        let large = "whale ".repeat(17_500);
        for _ in 0..7 {
            place.say(&me, id, &large).await;
        }
        let (some, more) = place
            .part
            .take_out_messages(&me, id, None, 200)
            .await
            .unwrap();
        assert_eq!((some.len(), more), (3, true), "{}", place.name);
        let mut all = some;
        while let Some(last) = all.last() {
            let after = Some((last.depth, last.id));
            let next = place.part.take_out_messages(&me, id, after, 200).await;
            let (some, more) = next.unwrap();
            assert!(more == (all.len() + some.len() < 7), "{}", place.name);
            all.extend(some);
            if !more {
                break;
            }
        }
        assert_eq!(all.len(), 7);
        let other = place.caller();
        let theirs = place.part.take_out_messages(&other, id, None, 200);
        assert_eq!(theirs.await.unwrap(), (Vec::new(), false));

        place.part.delete(&me, id).await.unwrap();
        place.part.restore(&me, id).await.unwrap();
        assert_eq!(rows(&place, "conversation_texts").await, 1 + 3);
        let everywhere = system(&place, TenantId::from_uuid(Default::default()));
        place.part.index_restored(&everywhere).await.unwrap();
        assert_eq!(rows(&place, "conversation_texts").await, 1 + 7);

        let mut ids = vec![id];
        for _ in 0..4 {
            let new = Create {
                model_id: "m".into(),
                system_prompt: Some("🐋".repeat(32_768)),
                ..Create::default()
            };
            ids.push(place.part.create(&me, new).await.unwrap().id);
        }
        let (mut told, mut after) = (Vec::new(), None);
        for (count, left) in [(3, true), (2, false)] {
            let (some, more) = place.part.take_out(&me, after, 20).await.unwrap();
            assert_eq!((some.len(), more), (count, left), "{}", place.name);
            told.extend(some.iter().map(|taken| taken.conversation.id));
            after = told.last().copied();
        }
        assert_eq!(told, ids);
        let (some, more) = place.part.take_out(&me, None, 1).await.unwrap();
        assert_eq!((some.len(), more), (1, true));
    }
}

#[tokio::test]
async fn a_purge_goes_on_piece_by_piece_and_takes_what_is_due_only() {
    for place in places().await {
        let me = place.caller();
        let (id, all) = place.long(&me, 25).await;
        let side = Parent::Message(all[3]);
        place.say_under(&me, id, side, "another branch").await;
        let token = share(&place, &me, id).await.token;
        let kept = place.create(&me, Some("Kept")).await.id;
        place.say(&me, kept, "kept words").await;
        let late = place.create(&me, Some("Deleted later")).await.id;
        place.part.delete(&me, id).await.unwrap();
        place.clock.advance(DAY);
        place.part.delete(&me, late).await.unwrap();
        place.clock.advance(29 * DAY);

        let everywhere = system(&place, TenantId::from_uuid(Default::default()));
        assert!(place.part.due_for_purge(&me, 50).await.is_err());
        let due = place.part.due_for_purge(&everywhere, 50).await.unwrap();
        assert_eq!(due, [(me.tenant(), id)], "{}", place.name);
        // Neither of the others, whoever asks for them.
        for spared in [kept, late, place.ids.next()] {
            assert_eq!(step(&place, me.tenant(), spared, 10).await, Purging::Spared);
        }
        let foreign = place.ids.next();
        assert_eq!(step(&place, foreign, id, 10).await, Purging::Spared);
        assert_eq!(step(&place, me.tenant(), id, 10).await, Purging::More);
        // Half purged, it does not come back, whatever a clock says.
        place.clock.set("2026-11-22T08:00:00Z".parse().unwrap());
        gone(place.part.restore(&me, id).await);
        gone(shared(&place, &token).await);
        assert_eq!(
            place.part.due_for_purge(&everywhere, 50).await.unwrap(),
            due
        );
        assert_eq!(purge(&place, 10).await, 1);
        assert_eq!(step(&place, me.tenant(), id, 10).await, Purging::Spared);
        assert_eq!(purge(&place, 10).await, 0);
        assert_eq!(place.shown(&me, kept).await, ["kept words"]);
        place.part.restore(&me, late).await.unwrap();
        assert_eq!(listed(&place, &me, Filter::default()).await, (2, 2));
        for (table, left) in [
            ("conversations", 2),
            ("messages", 1),
            ("conversation_shares", 0),
            ("conversation_texts", 3),
        ] {
            assert_eq!(rows(&place, table).await, left, "{}: {table}", place.name);
        }
    }
}

async fn rows(place: &Place, table: &str) -> i64 {
    let everywhere = system(place, TenantId::from_uuid(Default::default()));
    let sql = format!("SELECT CAST(COUNT(*) AS bigint) FROM {table}");
    let count = place.store.read(&everywhere, sql, |reads, sql| {
        Box::pin(async move { reads.query_one(sql, params![]).await?.get(0) })
    });
    count.await.unwrap()
}

/// An answer that ends after the deletion finds its conversation, also when it is over time.
#[tokio::test]
async fn a_conversation_with_an_answer_under_way_is_not_purged() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        place.say(&me, id, "a prompt").await;
        let run = place.ids.next();
        let claim = |take: bool| {
            let args = (place.part.clone(), id, take);
            let system = system(&place, me.tenant());
            let store = place.store.clone();
            async move {
                let work = store.write(
                    &system,
                    Durability::Fast,
                    args,
                    move |uow, (part, id, take)| {
                        Box::pin(async move {
                            let mut locked = part.lock_in(uow, *id).await?;
                            match take {
                                true => locked.claim(run)?,
                                false => locked.unclaim(run),
                            }
                            locked.save(uow).await
                        })
                    },
                );
                work.await.unwrap();
            }
        };
        claim(true).await;
        assert_eq!(
            place.part.delete(&me, id).await.unwrap().active_run,
            Some(run)
        );
        place.clock.advance(31 * DAY);
        assert_eq!(purge(&place, 10).await, 0, "{}", place.name);
        assert_eq!(step(&place, me.tenant(), id, 10).await, Purging::Spared);
        claim(false).await;
        assert_eq!(purge(&place, 10).await, 1);
    }
}

#[tokio::test]
async fn a_share_is_one_branch_up_to_its_head() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Trip")).await.id;
        let question = place.say(&me, id, "q1").await;
        let answer = place.say_under(&me, id, Parent::Head, "a1").await;
        place
            .say_under(&me, id, Parent::beside(&answer), "a1 again")
            .await;
        place
            .append(
                &me,
                NewMessage::new(id, MessageRole::System, "an instruction"),
            )
            .await
            .unwrap();
        place.say(&me, id, "q2").await;
        gone(place.part.share_of(&me, id).await);
        gone(place.part.unshare(&me, id).await);
        let (made, new) = place.part.share(&me, id, false).await.unwrap();
        assert!(new && made.token.len() == 43, "{made:?}");
        let seen = shared(&place, &made.token).await.unwrap();
        assert_eq!(words(&seen), ["q1", "a1 again", "q2"]);
        assert_eq!(seen.title, "Trip");
        assert_eq!(seen.messages[0].id, question.id);

        // It stays at its head while the conversation goes on and elsewhere.
        place.clock.advance(DAY);
        place.say(&me, id, "a secret").await;
        place
            .say_under(&me, id, Parent::beside(&question), "q1 in other words")
            .await;
        assert_eq!(shared(&place, &made.token).await.unwrap(), seen);
        assert_eq!(
            place.part.share(&me, id, false).await.unwrap(),
            (made.clone(), false)
        );
        assert_eq!(place.part.share_of(&me, id).await.unwrap(), made);
        let (moved, new) = place.part.share(&me, id, true).await.unwrap();
        assert!(!new && moved.token == made.token && moved.created_at == made.created_at);
        let again = shared(&place, &made.token).await.unwrap();
        assert_eq!(words(&again), ["q1 in other words"]);
        assert!(again.shared_at > seen.shared_at && again.created_at == seen.created_at);

        // Nobody else has to do with it.
        for other in [place.caller_in(me.tenant()), place.caller()] {
            gone(place.part.share(&other, id, true).await);
            gone(place.part.share_of(&other, id).await);
            gone(place.part.unshare(&other, id).await);
        }
        for token in ["", "x", &made.token[1..], &"A".repeat(43), "\0", "é"] {
            gone(shared(&place, token).await);
        }
        place.part.delete(&me, id).await.unwrap();
        gone(shared(&place, &made.token).await);
        gone(place.part.share_of(&me, id).await);
        gone(place.part.share(&me, id, true).await);
        // Deleted, it is shared no more, also when it is there again.
        place.part.restore(&me, id).await.unwrap();
        gone(shared(&place, &made.token).await);
        gone(place.part.share_of(&me, id).await);
        let anew = share(&place, &me, id).await;
        assert_ne!(anew.token, made.token);
        gone(shared(&place, &made.token).await);

        let empty = place.create(&me, None).await.id;
        let empty = share(&place, &me, empty).await;
        assert_eq!(empty.head, None);
        assert_eq!(words(&shared(&place, &empty.token).await.unwrap()), [""; 0]);
    }
}

#[tokio::test]
async fn sharing_at_once_gives_one_token() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, None).await.id;
        let share = || place.part.share(&me, id, false);
        let (a, b, c, d) = tokio::join!(share(), share(), share(), share());
        let all = [a, b, c, d].map(Result::unwrap);
        assert_eq!(all.iter().filter(|(_, new)| *new).count(), 1);
        assert!(all.iter().all(|(share, _)| *share == all[0].0));
    }
}

/// Walking up, one page after another, shows the branch and nothing beside it.
#[tokio::test]
async fn a_share_is_read_page_by_page() {
    for place in places().await {
        let me = place.caller();
        let (id, all) = place.long(&me, 25).await;
        let secret = "an instruction";
        let hidden = place
            .append(&me, NewMessage::new(id, MessageRole::System, secret))
            .await
            .unwrap();
        let end = place.say(&me, id, "the end").await;
        let token = share(&place, &me, id).await.token;
        let later = place.say(&me, id, "not shared").await;
        let side = Parent::Message(all[10]);
        let aside = place.say_under(&me, id, side, "another branch").await;
        let (_, others) = place.long(&me, 3).await;

        let (mut seen, mut before, mut pages) = (Vec::new(), None, Vec::new());
        loop {
            let page = part_of(&place, &token, before, 10).await.unwrap();
            assert_eq!(page.title, "long");
            pages.push(page.messages.len());
            let ids = page.messages.iter().map(|m| m.id);
            seen.splice(0..0, ids.collect::<Vec<_>>());
            before = page.earlier;
            if before.is_none() {
                break;
            }
        }
        let mut whole = all.clone();
        whole.push(end.id);
        assert_eq!(seen, whole, "{}", place.name);
        assert_eq!(pages, [9, 10, 7]);
        // A page of nothing that is shown leads on.
        let page = part_of(&place, &token, Some(end.id), 1).await.unwrap();
        assert_eq!((words(&page), page.earlier), (vec![], Some(hidden.id)));
        let page = part_of(&place, &token, Some(all[0]), 10).await.unwrap();
        assert_eq!((words(&page), page.earlier), (vec![], None));
        for beside in [later.id, aside.id, others[1], place.ids.next()] {
            gone(part_of(&place, &token, Some(beside), 10).await);
        }
        gone(part_of(&place, &"A".repeat(43), Some(all[1]), 10).await);

        let large = place.create(&me, None).await.id;
        for _ in 0..6 {
            place.say(&me, large, &"x".repeat(300 * 1024)).await;
        }
        let token = share(&place, &me, large).await.token;
        let page = part_of(&place, &token, None, 100).await.unwrap();
        assert_eq!(page.messages.len(), 4, "{}: a megabyte", place.name);
        let page = part_of(&place, &token, page.earlier, 100).await.unwrap();
        assert_eq!((page.messages.len(), page.earlier), (2, None));
    }
}

/// A caller of that tenant with these roles.
fn with_roles(place: &Place, tenant: TenantId, roles: &[Role]) -> Context {
    let actor = Actor::Account {
        id: place.ids.next(),
        session: place.ids.next(),
        roles: Roles::of(roles),
    };
    Context::new(tenant, actor, place.ids.next())
}

#[tokio::test]
async fn the_owner_and_administrators_end_a_share() {
    for place in places().await {
        let me = place.caller();
        let id = place.create(&me, Some("Trip")).await.id;
        let strangers = [
            place.caller_in(me.tenant()),
            with_roles(&place, me.tenant(), &[Role::Supervisor]),
            with_roles(&place, place.ids.next(), &[Role::Admin, Role::Operator]),
        ];
        let admin = with_roles(&place, me.tenant(), &[Role::Admin]);
        for ender in [&admin, &me] {
            let token = share(&place, &me, id).await.token;
            for stranger in &strangers {
                gone(place.part.revoke_share(stranger, &token).await);
                gone(place.part.unshare(stranger, id).await);
            }
            let nobody = Context::new(me.tenant(), Actor::Anonymous, place.ids.next());
            let refused = place.part.revoke_share(&nobody, &token).await.unwrap_err();
            assert!(refused.is(codes::NOT_AUTHENTICATED), "{refused}");
            shared(&place, &token).await.unwrap();
            place.part.revoke_share(ender, &token).await.unwrap();
            gone(shared(&place, &token).await);
            gone(place.part.share_of(&me, id).await);
            gone(place.part.revoke_share(ender, &token).await);

            let token = share(&place, &me, id).await.token;
            place.part.unshare(ender, id).await.unwrap();
            gone(shared(&place, &token).await);
            gone(place.part.unshare(ender, id).await);
        }
        // What an administrator may not: make one, or see whose it is.
        share(&place, &me, id).await;
        gone(place.part.share(&admin, id, false).await);
        gone(place.part.share_of(&admin, id).await);
    }
}
