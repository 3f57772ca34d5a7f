//! A title that a model gives (`chat.titles = "model"`): after the first answer of a conversation that
//! ended well, a run of its own with a hold and a settlement like any other. Whatever goes wrong, the
//! title from the first prompt stays, and only a title that is taken is paid.

use std::{sync::Arc, time::Duration};

use accounting::{HoldOutcome, HoldRequest, Used};
use async_trait::async_trait;
use conversations::{Conversation, TitleSource, heuristic_title};
use kernel::{Context, Error, Result, codes};
use orchestrator::{ChatMessage, ChatRequest, Model, Role};
use runs::{ActiveRun, EndReason, NewEvent, NewRun, Outcome, RunHandler, RunRecord};
use serde_json::json;
use store::{Durability, Reads, Uow};

use crate::{
    Chat, Titles, Work,
    answer::{AnswerInput, Answers, last_events, usage_of},
    send::short_of_credits,
};

/// The kind of run that makes a title.
const KIND: &str = "title";
/// Tokens that a title may have.
const TOKENS: u32 = 32;
/// Characters of the prompt and of the answer that are shown to the model.
const EXCERPT: usize = 1_000;
/// A model that takes longer is not waited for, so that what it holds is free again.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer whose request asks for a title; its input is that of the answer which it follows.
pub(crate) struct TitleRuns(pub(crate) Answers);

/// A call that can begin.
#[derive(Clone)]
struct Plan {
    conversation: Conversation,
    model: Arc<Model>,
    input: AnswerInput,
    messages: Vec<ChatMessage>,
}

impl Chat {
    /// Joins the unit of work in which an answer ends: once it is true, a title is asked for where
    /// one is wanted.
    pub(crate) fn title_after(
        &self,
        uow: &mut Uow,
        (run, input, outcome): (&RunRecord, &AnswerInput, &Outcome),
        conversation: &Conversation,
    ) {
        let source = conversation.title_source;
        if self.0.options.titles != Titles::Model
            || !matches!(outcome.reason(), EndReason::Stop | EndReason::Length)
            || !matches!(source, TitleSource::Heuristic | TitleSource::None)
        {
            return;
        }
        let (chat, ctx) = (self.clone(), run.context());
        let (input, answer) = (input.clone(), outcome.text.clone());
        uow.after_commit(move || {
            chat.0.runs.clone().spawn(async move {
                let conversation = input.conversation;
                if let Err(error) = chat.begin_title(&ctx, input, &answer).await {
                    tracing::debug!(%conversation, ?error, "no title is asked for");
                }
            });
        });
    }

    async fn begin_title(&self, ctx: &Context, input: AnswerInput, answer: &str) -> Result<()> {
        let args = (self.0.conversations.clone(), input.clone());
        let found = self
            .0
            .store
            .read(ctx, args, |reads, (conversations, input)| {
                Box::pin(async move {
                    let id = input.conversation;
                    let conversation = conversations.get_in(reads, id).await?;
                    let prompt = conversations.message_in(reads, id, input.prompt).await?;
                    let first = conversations
                        .is_first_answer_in(reads, id, input.answer)
                        .await?;
                    Ok(first.then_some((conversation, prompt.content)))
                })
            });
        let Some((conversation, prompt)) = found.await? else {
            return Ok(());
        };
        let model = self.0.orchestrator.model(ctx, &conversation.model_id)?;
        let messages = request(&prompt, answer);
        let prompt_tokens = self.0.orchestrator.count_prompt(&model, &messages).await;
        let fits = prompt_tokens + u64::from(TOKENS) <= u64::from(model.context_window);
        // One that thinks first has said nothing after so few tokens.
        if model.hidden_reasoning || !fits {
            return Ok(());
        }
        let plan = Plan {
            input: AnswerInput {
                model: model.id.clone(),
                prompt_tokens,
                ..input
            },
            conversation,
            model,
            messages,
        };
        let args = (self.clone(), plan);
        let begin = self
            .0
            .store
            .write(ctx, Durability::Fast, args, |uow, (chat, plan)| {
                Box::pin(chat.begin_title_in(uow, plan))
            });
        begin.await
    }

    async fn begin_title_in(&self, uow: &mut Uow, plan: &Plan) -> Result<()> {
        let run = uow.id();
        let (account, conversation) = (plan.conversation.account_id, plan.conversation.id);
        let new = NewRun {
            id: run,
            kind: KIND,
            owner: account,
            subject: Some(conversation.uuid()),
            input: json!(plan.input),
            events: vec![NewEvent::new("start", json!({"run_id": run}))],
        };
        let created = self.0.runs.create_in(uow, &new).await?;
        let price = self.price_of(uow, &plan.model).await?;
        let most = plan.model.max_output_tokens.unwrap_or(TOKENS).min(TOKENS);
        let wanted = HoldRequest {
            run,
            account,
            conversation: Some(conversation),
            model: plan.model.id.clone(),
            price,
            prompt_tokens: plan.input.prompt_tokens,
            max_tokens: Some(most.into()),
            extendable: false,
        };
        let hold = match self.0.accounting.hold_in(uow, &wanted).await? {
            HoldOutcome::Held(hold) if hold.output_tokens >= u64::from(most) => hold,
            HoldOutcome::Held(_) | HoldOutcome::Wait(_) => return Err(short_of_credits()),
            HoldOutcome::Refused(error) => return Err(error),
        };
        let work = Work {
            model: Arc::clone(&plan.model),
            request: ChatRequest {
                messages: plan.messages.clone(),
                max_tokens: Some(most),
                temperature: Some(0.0),
                owner: account.to_string(),
                // Not the conversation's place in a local model's memory, which its next prompt needs.
                affinity: None,
                ..ChatRequest::default()
            },
            hold,
        };
        let chat = self.clone();
        uow.after_commit(move || {
            chat.prepare(run, work);
            chat.0.runs.launch(created);
        });
        Ok(())
    }
}

#[async_trait]
impl RunHandler for TitleRuns {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn execute(&self, run: &ActiveRun) -> Outcome {
        let asked = tokio::time::timeout(PATIENCE, self.0.execute(run)).await;
        asked.unwrap_or_else(|_| {
            let late = "The model took too long to give a title.";
            Outcome::failed(&Error::new(codes::PROVIDER_TIMEOUT, late))
        })
    }

    /// Nothing of it is kept, so nothing of it is paid.
    async fn conclude(&self, run: &RunRecord, text: &str, reason: EndReason) -> Outcome {
        let mut outcome = self.0.conclude(run, text, reason).await;
        outcome.usage = None;
        if let Some(error) = &mut outcome.error {
            error.detail = "The server stopped while a title was made; the conversation keeps the \
                            one it has."
                .to_owned();
        }
        outcome
    }

    async fn is_shown(&self, reads: &mut Reads, run: &RunRecord) -> Result<bool> {
        self.0.is_shown(reads, run).await
    }

    async fn finish(
        &self,
        uow: &mut Uow,
        run: &RunRecord,
        outcome: &Outcome,
    ) -> Result<Vec<NewEvent>> {
        let input: AnswerInput = run.input()?;
        let chat = &self.0.0;
        let title = match title_of(outcome) {
            Some(title) => chat.name_in(uow, &input, title).await?,
            None => None,
        };
        let used = usage_of(outcome)?.filter(|_| title.is_some());
        let used = used.map(|usage| Used {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            metadata: json!({"kind": KIND}),
        });
        let paid = used.is_some();
        let settled = chat.0.accounting.settle_in(uow, run.id, used).await?;
        Ok(last_events(
            outcome,
            paid,
            &settled,
            ("title", json!(title)),
        ))
    }
}

impl Chat {
    /// Gives the conversation this title, unless a person gave it one or it is gone meanwhile.
    async fn name_in(
        &self,
        uow: &mut Uow,
        input: &AnswerInput,
        title: String,
    ) -> Result<Option<String>> {
        let conversations = &self.0.conversations;
        let mut conversation = match conversations.lock_in(uow, input.conversation).await {
            Ok(conversation) => conversation,
            Err(error) if error.is(codes::NOT_FOUND) => return Ok(None),
            Err(error) => return Err(error),
        };
        let taken = conversation.name(&title, TitleSource::Model);
        conversation.save(uow).await?;
        Ok(taken.then_some(title))
    }
}

/// What the model is asked. No system prompt: not every model knows one.
fn request(prompt: &str, answer: &str) -> Vec<ChatMessage> {
    let excerpt = |text: &str| text.trim().chars().take(EXCERPT).collect::<String>();
    let (prompt, answer) = (excerpt(prompt), excerpt(answer));
    let text = format!(
        "Give this conversation a title of two to six words, in its own language. Answer with the \
         title alone.\n\nQuestion: {prompt}\n\nAnswer: {answer}\n\nTitle:"
    );
    vec![ChatMessage::new(Role::User, text)]
}

/// The title in what the model has said, if there is one: its first line that says something.
fn title_of(outcome: &Outcome) -> Option<String> {
    let whole = match outcome.reason() {
        EndReason::Stop => outcome.text.as_str(),
        // Its last line is cut off.
        EndReason::Length => outcome.text.rsplit_once('\n')?.0,
        _ => return None,
    };
    let says = |line: &&str| line.contains(char::is_alphanumeric) && !line.ends_with(':');
    let line = whole.lines().map(bare).find(says)?;
    // Thoughts, JSON and the like.
    if line.starts_with(['<', '{', '[']) {
        return None;
    }
    let title = heuristic_title(line);
    // What is longer is no title.
    (!title.is_empty() && !title.ends_with('…')).then_some(title)
}

/// A line without what models put around a title.
fn bare(line: &str) -> &str {
    let around = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '“' | '”' | '„' | '«' | '»' | '*' | '#' | '`')
    };
    let line = line.trim_matches(around);
    let named = line.split_once(':').filter(|(name, rest)| {
        name.trim_matches(around).eq_ignore_ascii_case("title") && !rest.trim().is_empty()
    });
    named.map_or(line, |(_, rest)| rest.trim_matches(around))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reason: EndReason, text: &str) -> Option<String> {
        title_of(&Outcome {
            text: text.to_owned(),
            ..Outcome::ended(reason)
        })
    }

    #[test]
    fn a_title_is_found_in_what_a_model_says() {
        for (text, title) in [
            ("How Whales Sleep", "How Whales Sleep"),
            (" \"How Whales Sleep\"\n", "How Whales Sleep"),
            ("**Title:** \"How Whales Sleep\"", "How Whales Sleep"),
            ("title: Wie Wale schlafen", "Wie Wale schlafen"),
            ("Title:\n\n# How Whales Sleep", "How Whales Sleep"),
            (
                "Sure, here is one:\n- How Whales Sleep.",
                "How Whales Sleep",
            ),
            ("«鯨の眠り方»", "鯨の眠り方"),
            ("Rust: a first look", "Rust: a first look"),
        ] {
            assert_eq!(
                said(EndReason::Stop, text).as_deref(),
                Some(title),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_title_is_none() {
        let talk =
            "Whales are mammals that live in the sea and they sleep with one half of the brain";
        for text in [
            "",
            " \n",
            "\"\"",
            "...",
            "Title:",
            talk,
            "<think>\nThe user",
            "{\"title\": \"x\"}",
        ] {
            assert_eq!(said(EndReason::Stop, text), None, "{text:?}");
        }
        assert_eq!(said(EndReason::Length, "How Whales Sl"), None);
        let cut = said(EndReason::Length, "How Whales Sleep\nThis title is");
        assert_eq!(cut.as_deref(), Some("How Whales Sleep"));
        for reason in [EndReason::Stopped, EndReason::Interrupted, EndReason::Error] {
            assert_eq!(said(reason, "How Whales Sleep"), None);
        }
    }

    #[test]
    fn the_request_is_short_however_long_the_texts_are() {
        let asked = request(&"ü".repeat(100_000), &"y".repeat(100_000));
        assert!(asked[0].content.chars().count() < 2 * EXCERPT + 300);
    }
}
