//! Assistants and saved prompts on both databases: whose they are, what they may
//! be, how many there are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs
)]

mod common;

use std::time::Duration;

use common::places;
use conversations::{
    AssistantPatch, Create, NewAssistant, NewSavedPrompt, SavedPromptPatch, TitleSource,
};
use kernel::{Error, Page, codes};

fn assistant(name: &str) -> NewAssistant {
    NewAssistant {
        name: name.to_owned(),
        model_id: "m".to_owned(),
        ..NewAssistant::default()
    }
}

fn prompt(command: &str) -> NewSavedPrompt {
    NewSavedPrompt {
        command: command.to_owned(),
        title: "A title".to_owned(),
        content: "Some words".to_owned(),
    }
}

fn wrong(error: Error, field: &str) {
    assert!(error.is(codes::VALIDATION_FAILED), "{error}");
    assert_eq!(error.fields()[0].field, field, "{error}");
}

fn gone(error: Error) {
    assert!(error.is(codes::NOT_FOUND), "{error}");
}

#[tokio::test]
async fn assistants_are_kept_changed_and_nobody_elses() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let new = NewAssistant {
            description: Some(" knows the sea ".to_owned()),
            system_prompt: "Be brief.\n".to_owned(),
            questions: vec!["Why is it salt?".to_owned(), " How deep? ".to_owned()],
            ..assistant("  Sailor ")
        };
        let made = part.create_assistant(&me, new).await.unwrap();
        assert_eq!(made.name, "Sailor");
        assert_eq!(made.description.as_deref(), Some("knows the sea"));
        assert_eq!(made.questions, ["Why is it salt?", "How deep?"]);
        assert_eq!(part.assistant(&me, made.id).await.unwrap(), made);
        let other = part.create_assistant(&me, assistant("Sailor")).await;
        let other = other.unwrap();
        let page = part.assistants(&me, Page::default()).await.unwrap();
        assert_eq!(page.data, [other.clone(), made.clone()], "newest first");
        assert_eq!(page.meta.total, 2);

        place.clock.advance(Duration::from_secs(5));
        let none = AssistantPatch::default();
        let same = part.patch_assistant(&me, made.id, none).await.unwrap();
        assert_eq!(same, made, "nothing has changed");
        let patch = AssistantPatch {
            name: Some("Captain".to_owned()),
            description: Some(None),
            questions: Some(Vec::new()),
            ..AssistantPatch::default()
        };
        let changed = part
            .patch_assistant(&me, made.id, patch.clone())
            .await
            .unwrap();
        assert_eq!(
            (changed.name.as_str(), &changed.description),
            ("Captain", &None)
        );
        assert_eq!(changed.system_prompt, "Be brief.\n");
        assert!(changed.updated_at > made.updated_at && changed.questions.is_empty());
        assert_eq!(part.assistant(&me, made.id).await.unwrap(), changed);

        for stranger in [place.caller_in(me.tenant()), place.caller()] {
            gone(part.assistant(&stranger, made.id).await.unwrap_err());
            let refused = part.patch_assistant(&stranger, made.id, patch.clone());
            gone(refused.await.unwrap_err());
            gone(part.delete_assistant(&stranger, made.id).await.unwrap_err());
            let page = part.assistants(&stranger, Page::default()).await.unwrap();
            assert_eq!((page.meta.total, page.data.len()), (0, 0));
        }
        // A conversation copies what it needs, and outlives the assistant.
        let create = Create {
            model_id: changed.model_id.clone(),
            system_prompt: Some(changed.system_prompt.clone()),
            assistant_id: Some(changed.id),
            title: None,
        };
        let begun = part.create(&me, create).await.unwrap();
        assert_eq!(begun.title_source, TitleSource::None);
        part.delete_assistant(&me, made.id).await.unwrap();
        gone(part.delete_assistant(&me, made.id).await.unwrap_err());
        let begun = part.get(&me, begun.id).await.unwrap();
        assert_eq!(begun.assistant_id, Some(made.id));
        assert_eq!(begun.system_prompt.as_deref(), Some("Be brief.\n"));
    }
}

#[tokio::test]
async fn what_an_assistant_may_be() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let base = || assistant("Name");
        let too_many = vec!["Why?".to_owned(); 7];
        for (new, field) in [
            (assistant(" \n"), "name"),
            (assistant(&"ä".repeat(81)), "name"),
            (assistant("a\0b"), "name"),
            (assistant("Support\u{200b}"), "name"),
            (assistant("\u{202e}troppuS"), "name"),
            (
                NewAssistant {
                    description: Some("ä".repeat(301)),
                    ..base()
                },
                "description",
            ),
            (
                NewAssistant {
                    description: Some("a\0".to_owned()),
                    ..base()
                },
                "description",
            ),
            (
                NewAssistant {
                    model_id: "\0".to_owned(),
                    ..base()
                },
                "model_id",
            ),
            (
                NewAssistant {
                    system_prompt: "ä".repeat(16_385),
                    ..base()
                },
                "system_prompt",
            ),
            (
                NewAssistant {
                    system_prompt: "\0".to_owned(),
                    ..base()
                },
                "system_prompt",
            ),
            (
                NewAssistant {
                    questions: too_many,
                    ..base()
                },
                "questions",
            ),
            (
                NewAssistant {
                    questions: vec!["ä".repeat(301)],
                    ..base()
                },
                "questions",
            ),
            (
                NewAssistant {
                    questions: vec![" ".to_owned()],
                    ..base()
                },
                "questions",
            ),
            (
                NewAssistant {
                    questions: vec!["\0?".to_owned()],
                    ..base()
                },
                "questions",
            ),
        ] {
            wrong(
                part.create_assistant(&me, new.clone()).await.unwrap_err(),
                field,
            );
        }
        let most = NewAssistant {
            description: Some("ä".repeat(300)),
            system_prompt: "ä".repeat(16_384),
            questions: vec!["ä".repeat(300); 6],
            ..assistant(&"ä".repeat(80))
        };
        let made = part.create_assistant(&me, most).await.unwrap();
        let patch = AssistantPatch {
            system_prompt: Some("x".repeat(32_769)),
            ..AssistantPatch::default()
        };
        let refused = part.patch_assistant(&me, made.id, patch).await;
        wrong(refused.unwrap_err(), "system_prompt");
        assert_eq!(part.assistant(&me, made.id).await.unwrap(), made);
        let page = part.assistants(&me, Page::default()).await.unwrap();
        assert_eq!(page.meta.total, 1, "what was refused left nothing");
    }
}

#[tokio::test]
async fn what_a_saved_prompt_may_be() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        for command in ["", "A", "a b", "ä", "/a", "a\0", "a_b", &"a".repeat(33)] {
            wrong(
                part.save_prompt(&me, prompt(command)).await.unwrap_err(),
                "command",
            );
        }
        for (title, content, field) in [
            ("", "x", "title"),
            (" ", "x", "title"),
            (&*"ä".repeat(81), "x", "title"),
            ("a\0", "x", "title"),
            ("x", "", "content"),
            ("x", " \n", "content"),
            ("x", &*"ä".repeat(16_385), "content"),
            ("x", "a\0", "content"),
        ] {
            let new = NewSavedPrompt {
                title: title.to_owned(),
                content: content.to_owned(),
                ..prompt("a")
            };
            wrong(part.save_prompt(&me, new).await.unwrap_err(), field);
        }
        let most = NewSavedPrompt {
            title: "ä".repeat(80),
            content: "ä".repeat(16_384),
            ..prompt(&"z-9".repeat(11)[..32])
        };
        let made = part.save_prompt(&me, most).await.unwrap();
        for patch in [
            SavedPromptPatch {
                command: Some("B".to_owned()),
                ..SavedPromptPatch::default()
            },
            SavedPromptPatch {
                content: Some(String::new()),
                ..SavedPromptPatch::default()
            },
        ] {
            let refused = part.patch_saved_prompt(&me, made.id, patch).await;
            assert!(refused.unwrap_err().is(codes::VALIDATION_FAILED));
        }
        let page = part.saved_prompts(&me, Page::default()).await.unwrap();
        assert_eq!(page.data, [made]);
    }
}

#[tokio::test]
async fn a_command_names_one_prompt_of_an_account() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let save = || part.save_prompt(&me, prompt("sum-up"));
        let (a, b, c, d) = tokio::join!(save(), save(), save(), save());
        let all = [a, b, c, d];
        assert_eq!(
            all.iter().filter(|r| r.is_ok()).count(),
            1,
            "{}",
            place.name
        );
        for refused in all.iter().flat_map(|r| r.as_ref().err()) {
            assert!(refused.is(codes::COMMAND_EXISTS), "{refused}");
        }
        let made = all.into_iter().find_map(Result::ok).unwrap();
        let other = part.save_prompt(&me, prompt("other")).await.unwrap();
        let to = |command: &str| SavedPromptPatch {
            command: Some(command.to_owned()),
            ..SavedPromptPatch::default()
        };
        let refused = part.patch_saved_prompt(&me, other.id, to("sum-up")).await;
        assert!(refused.unwrap_err().is(codes::COMMAND_EXISTS));
        let same = part.patch_saved_prompt(&me, made.id, to("sum-up")).await;
        assert_eq!(same.unwrap(), made);
        place.clock.advance(Duration::from_secs(5));
        let renamed = part.patch_saved_prompt(&me, made.id, to("brief")).await;
        let renamed = renamed.unwrap();
        assert_eq!(
            (renamed.command.as_str(), &renamed.content),
            ("brief", &made.content)
        );
        assert!(renamed.updated_at > made.updated_at);
        // Free again; and others have commands of their own.
        part.patch_saved_prompt(&me, other.id, to("sum-up"))
            .await
            .unwrap();
        for stranger in [place.caller_in(me.tenant()), place.caller()] {
            let his = part.save_prompt(&stranger, prompt("sum-up")).await.unwrap();
            let refused = part.patch_saved_prompt(&stranger, made.id, to("x")).await;
            gone(refused.unwrap_err());
            gone(
                part.delete_saved_prompt(&stranger, made.id)
                    .await
                    .unwrap_err(),
            );
            let page = part.saved_prompts(&stranger, Page::default()).await;
            assert_eq!(page.unwrap().data, [his]);
        }
        part.delete_saved_prompt(&me, made.id).await.unwrap();
        gone(part.delete_saved_prompt(&me, made.id).await.unwrap_err());
        part.save_prompt(&me, prompt("brief")).await.unwrap();
        let page = part.saved_prompts(&me, Page::default()).await.unwrap();
        assert_eq!(page.meta.total, 2);
    }
}

/// The last place is taken once, however many try at the same time.
#[tokio::test]
async fn there_are_only_so_many() {
    for place in places().await {
        let (part, me) = (&place.part, place.caller());
        let mut last = None;
        for n in 0..199 {
            last = Some(
                part.create_assistant(&me, assistant(&n.to_string()))
                    .await
                    .unwrap(),
            );
        }
        let make = || part.create_assistant(&me, assistant("one more"));
        let (a, b, c, d) = tokio::join!(make(), make(), make(), make());
        let all = [a, b, c, d];
        assert_eq!(
            all.iter().filter(|r| r.is_ok()).count(),
            1,
            "{}",
            place.name
        );
        for refused in all.iter().flat_map(|r| r.as_ref().err()) {
            assert!(refused.is(codes::TOO_MANY), "{refused}");
        }
        let page = part.assistants(&me, Page::new(Some(3), Some(100))).await;
        let page = page.unwrap();
        assert_eq!((page.meta.total, page.data.len()), (200, 0));
        part.delete_assistant(&me, last.unwrap().id).await.unwrap();
        make().await.unwrap();
        assert!(make().await.unwrap_err().is(codes::TOO_MANY));
        part.create_assistant(&place.caller_in(me.tenant()), assistant("x"))
            .await
            .unwrap();

        for n in 0..500 {
            part.save_prompt(&me, prompt(&n.to_string())).await.unwrap();
        }
        let refused = part.save_prompt(&me, prompt("one-more")).await.unwrap_err();
        assert!(refused.is(codes::TOO_MANY), "{refused}");
        let page = part.saved_prompts(&me, Page::default()).await.unwrap();
        let one = page.data[0].id;
        part.delete_saved_prompt(&me, one).await.unwrap();
        part.save_prompt(&me, prompt("one-more")).await.unwrap();
    }
}
