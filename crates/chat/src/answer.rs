//! The work and the end of an answer. Credits are extended as it grows; at the
//! end the message, the settlement, the claim and the log become true together.

use accounting::Used;
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
        let route = json!({"model": work.model.id});
        let (id, request_id) = (run.record().id, run.record().request);
        // What the orchestrator says of the call carries them too.
        let span = tracing::info_span!("answer", run = %id, %request_id);
        let (mut outcome, attempt) = match self.stream(run, work).instrument(span).await {
            Ok((outcome, attempt)) => (outcome, attempt),
            Err((error, attempt)) => {
                tracing::warn!(run = %id, %request_id, ?error, "a model call failed");
                (Outcome::failed(&error), attempt)
            }
        };
        outcome.routing = Some(route);
        outcome.attempts = Some(json!([attempt]));
        outcome
    }

    async fn conclude(&self, run: &RunRecord, text: &str, reason: EndReason) -> Outcome {
        // Stopped before it began, it leaves nothing behind.
        drop(self.0.take_prepared(run.id));
        let mut outcome = Outcome::ended(reason);
        if reason == EndReason::Interrupted {
            outcome.error = Some((&interrupted()).into());
        }
        if let Ok(input) = run.input::<AnswerInput>()
            && !text.is_empty()
        {
            let usage = TokenUsage {
                prompt_tokens: input.prompt_tokens,
                completion_tokens: self.count(&input.model, text).await,
            };
            outcome.usage = Some(json!(usage));
            outcome.routing = Some(json!({"model": input.model}));
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
        let usage: Option<TokenUsage> = outcome
            .usage
            .clone()
            .map(serde_json::from_value)
            .transpose()
            .map_err(Error::internal)?;
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
        conversation.save(uow).await?;
        let mut events = Vec::with_capacity(3);
        let usage = outcome.usage.as_ref().filter(|_| kept);
        if let Some(usage) = usage {
            events.push(NewEvent::new("usage", usage.clone()));
        }
        if let Some(error) = &outcome.error {
            let mut data = json!(error);
            data["error"] = data["detail"].clone();
            events.push(NewEvent::new("error", data));
        }
        let mut end = json!({
            "end_reason": outcome.reason(),
            "message": message,
            "usage": usage,
            "credits": {"charged": settled.charged, "balance": settled.balance},
        });
        if let Some(error) = &outcome.error {
            end["error"] = json!(error);
        }
        events.push(NewEvent::new("end", end));
        Ok(events)
    }
}

fn interrupted() -> Error {
    Error::new(
        codes::INTERRUPTED,
        "The server stopped while this answer was written; what was written is kept. Ask again for \
         the rest.",
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

type Streamed = Result<(Outcome, Json), (Error, Json)>;

impl Answers {
    async fn stream(&self, run: &ActiveRun, work: Work) -> Streamed {
        let Work {
            model,
            request,
            hold,
        } = work;
        let clock = &self.0.0.store.env().clock;
        let begun = clock.now();
        let mut attempt = json!({"model": model.id});
        let (route, mut stream) = match self.0.0.orchestrator.chat(&model, request).await {
            Ok(opened) => opened,
            Err(error) => return Err(failed(error, attempt)),
        };
        attempt["provider"] = json!(route.provider);
        attempt["deployment"] = json!(route.deployment);
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
                    if attempt.get("first_token_ms").is_none() {
                        let waited = clock.now().duration_since(begun).as_millis();
                        attempt["first_token_ms"] =
                            json!(i64::try_from(waited).unwrap_or(i64::MAX));
                    }
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
            return Err((error, attempt));
        };
        attempt["outcome"] = json!("ok");
        let mut outcome = Outcome::ended(reason);
        let counted = meter.usage(usage).await;
        outcome.usage = Some(json!(counted));
        Ok((outcome, attempt))
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

fn failed(error: ProviderError, mut attempt: Json) -> (Error, Json) {
    attempt["outcome"] = json!(error.kind.as_str());
    (error.into(), attempt)
}
