//! The work and the end of an answer. Credits are extended as it grows; at the
//! end the message, the settlement, the claim and the log become true together.

use accounting::{Settled, Used};
use async_trait::async_trait;
use conversations::{MessageRole, MessageStatus, NewMessage, Parent};
use futures_util::StreamExt;
use kernel::{ConversationId, Credits, Error, MessageId, Result, codes};
use orchestrator::{Chunk, FinishReason, ProviderError, TokenUsage};
use runs::{ActiveRun, EndReason, NewEvent, Outcome, RunHandler, RunRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Reads, Uow};
use tracing::Instrument as _;

use crate::{
    Chat, Work,
    attempt::{Attempt, cut_short, routing},
    meter::{Covered, Meter},
};

/// The kind of run an answer is.
pub(crate) const KIND: &str = "answer";

/// What an answer is about, as stored with its run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AnswerInput {
    pub(crate) conversation: ConversationId,
    pub(crate) prompt: MessageId,
    pub(crate) answer: MessageId,
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
}

pub(crate) struct Answers(pub(crate) Chat);

#[async_trait]
impl RunHandler for Answers {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn execute(&self, run: &ActiveRun) -> Outcome {
        let Some(work) = self.0.take_prepared(run.record().id) else {
            return Outcome::failed(&Error::internal("an answer without its context"));
        };
        let route = routing(&work.model.id);
        let (id, request_id) = (run.record().id, run.record().request);
        // What the orchestrator says of the call carries them too.
        let span = tracing::info_span!("answer", run = %id, %request_id);
        let (mut outcome, attempts) = match self.stream(run, work).instrument(span).await {
            Ok(ended) => ended,
            Err((error, attempts)) => {
                tracing::warn!(run = %id, %request_id, ?error, "a model call failed");
                (Outcome::failed(&error), attempts)
            }
        };
        outcome.routing = Some(route);
        outcome.attempts = Some(attempts);
        outcome
    }

    async fn conclude(&self, run: &RunRecord, text: &str, reason: EndReason) -> Outcome {
        // Stopped before it began, it leaves nothing behind.
        drop(self.0.take_prepared(run.id));
        let mut outcome = Outcome::ended(reason);
        if reason == EndReason::Interrupted {
            outcome.error = Some((&interrupted()).into());
        }
        outcome.attempts = Some(cut_short(run.attempts.clone(), reason));
        if let Ok(input) = run.input::<AnswerInput>() {
            outcome.routing = Some(routing(&input.model));
            if !text.is_empty() {
                let usage = TokenUsage {
                    prompt_tokens: input.prompt_tokens,
                    completion_tokens: self.count(&input.model, text).await,
                };
                outcome.usage = Some(json!(usage));
            }
        }
        outcome
    }

    /// As long as its conversation is there.
    async fn is_shown(&self, reads: &mut Reads, run: &RunRecord) -> Result<bool> {
        let input: AnswerInput = run.input()?;
        let conversations = &self.0.0.conversations;
        match conversations.get_in(reads, input.conversation).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(codes::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn finish(
        &self,
        uow: &mut Uow,
        run: &RunRecord,
        outcome: &Outcome,
    ) -> Result<Vec<NewEvent>> {
        let input: AnswerInput = run.input()?;
        let usage = usage_of(outcome)?;
        // An abandoned attempt is free; text that is kept is charged.
        let kept = keeps(outcome);
        let used = usage.filter(|_| kept).map(|usage| Used {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            metadata: Json::Null,
        });
        // The conversation is locked before the wallet, here as everywhere.
        let conversations = &self.0.0.conversations;
        let mut conversation = conversations.lock_in(uow, input.conversation).await?;
        conversation.unclaim(run.id);
        let settled = self.0.0.accounting.settle_in(uow, run.id, used).await?;
        let message = match kept {
            true => {
                let answer = answer(run, &input, outcome, settled.charged);
                Some(conversation.append(uow, answer).await?)
            }
            false => None,
        };
        let ended = (run, &input, outcome);
        self.0.title_after(uow, ended, conversation.conversation());
        conversation.save(uow).await?;
        let result = ("message", json!(message));
        Ok(last_events(outcome, kept, &settled, result))
    }
}

/// The tokens that were used, if any were.
pub(crate) fn usage_of(outcome: &Outcome) -> Result<Option<TokenUsage>> {
    let usage = outcome.usage.clone().map(serde_json::from_value);
    usage.transpose().map_err(Error::internal)
}

/// What ends the log: the usage where it is paid, the error if there is one, the end with its result.
pub(crate) fn last_events(
    outcome: &Outcome,
    paid: bool,
    settled: &Settled,
    (name, result): (&str, Json),
) -> Vec<NewEvent> {
    let mut events = Vec::with_capacity(3);
    let usage = outcome.usage.as_ref().filter(|_| paid);
    if let Some(usage) = usage {
        events.push(NewEvent::new("usage", usage.clone()));
    }
    let mut end = json!({
        "end_reason": outcome.reason(),
        "usage": usage,
        "credits": {"charged": settled.charged, "balance": settled.balance},
    });
    end[name] = result;
    if let Some(error) = &outcome.error {
        end["error"] = json!(error);
        let mut data = json!(error);
        data["error"] = data["detail"].clone();
        events.push(NewEvent::new("error", data));
    }
    events.push(NewEvent::new("end", end));
    events
}

fn interrupted() -> Error {
    Error::new(
        codes::INTERRUPTED,
        "The server stopped while this answer was written; what was written is kept. Ask again for \
         the rest.",
    )
}

fn unpaid() -> Error {
    Error::new(
        codes::INTERRUPTED,
        "The database was away for too long while this answer was written; what was written is kept. \
         Ask again for the rest.",
    )
}

/// Whether the text of an answer that ended so is kept.
fn keeps(outcome: &Outcome) -> bool {
    match outcome.reason() {
        EndReason::Stop | EndReason::Length => true,
        EndReason::InsufficientCredits
        | EndReason::Stopped
        | EndReason::TakenOver
        | EndReason::Interrupted => !outcome.text.is_empty(),
        EndReason::Error => false,
    }
}

/// How it ended, and the attempts it took.
type Streamed = Result<(Outcome, Json), (Error, Json)>;

impl Answers {
    async fn stream(&self, run: &ActiveRun, work: Work) -> Streamed {
        let Work {
            model,
            request,
            hold,
        } = work;
        let clock = &self.0.0.store.env().clock;
        let orchestrator = &self.0.0.orchestrator;
        let mut attempt = Attempt::begins(run, &model, orchestrator.route(&model), clock.now());
        let mut stream = match orchestrator.chat(&model, request).await {
            Ok((_, stream)) => stream,
            Err(error) => return Err(failed(error, attempt)),
        };
        let whole = !model.grows();
        let mut meter = Meter {
            chat: &self.0,
            run,
            model: &model,
            hold,
            produced: 0,
            whole,
            exhausted: false,
        };
        let mut usage = None;
        let mut finish = None;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(Chunk::Text(text)) => {
                    attempt.speaks(clock.now());
                    match meter.covers(&text).await {
                        Covered::All => run.delta(&text).await,
                        Covered::Until(bytes, reason) => {
                            if bytes > 0 {
                                run.delta(&text[..bytes]).await;
                            }
                            finish = Some(reason);
                            break;
                        }
                    }
                }
                Ok(Chunk::Usage(reported)) => usage = Some(reported),
                Ok(Chunk::Finish(reason)) => {
                    finish = Some(match reason {
                        FinishReason::Length => EndReason::Length,
                        _ => EndReason::Stop,
                    });
                }
                Err(error) => return Err(failed(error, attempt)),
            }
        }
        drop(stream);
        let Some(reason) = finish else {
            let error = Error::new(codes::PROVIDER_FAILED, "The model's answer broke off.");
            return Err((error, attempt.ends("cut")));
        };
        let mut outcome = Outcome::ended(reason);
        let counted = meter.usage(usage).await;
        outcome.usage = Some(json!(counted));
        let mut ended = "ok";
        if reason == EndReason::Interrupted {
            outcome.error = Some((&unpaid()).into());
            ended = reason.as_str();
        }
        Ok((outcome, attempt.ends(ended)))
    }

    async fn count(&self, model: &str, text: &str) -> u64 {
        self.0.0.orchestrator.count_text_of(model, text).await
    }
}

/// The message that an answer becomes.
fn answer(run: &RunRecord, input: &AnswerInput, outcome: &Outcome, credits: Credits) -> NewMessage {
    let status = match outcome.reason() {
        EndReason::Interrupted => MessageStatus::Interrupted,
        EndReason::Stopped | EndReason::TakenOver => MessageStatus::Stopped,
        _ => MessageStatus::Complete,
    };
    NewMessage {
        id: Some(input.answer),
        parent: Parent::Message(input.prompt),
        status,
        end_reason: Some(outcome.reason().as_str().to_owned()),
        run_id: Some(run.id),
        model_id: Some(input.model.clone()),
        usage: outcome.usage.clone(),
        credits: Some(credits),
        ..NewMessage::new(
            input.conversation,
            MessageRole::Assistant,
            outcome.text.clone(),
        )
    }
}

fn failed(error: ProviderError, attempt: Attempt<'_>) -> (Error, Json) {
    let attempts = attempt.ends(error.kind.as_str());
    (error.into(), attempts)
}
