//! Sending a prompt: everything that an answer needs becomes true in one unit
//! of work (message, claim on the conversation, hold, run), and only then the
//! answer begins.

use std::{sync::Arc, time::Instant};

use accounting::{Hold, HoldOutcome, HoldRequest, Waiter};
use conversations::{Conversation, MessageRole, NewMessage, Parent, TitleSource, heuristic_title};
use kernel::{Context, ConversationId, Error, MessageId, Result, RunId, WalletId, codes};
use orchestrator::{ChatRequest, Model};
use runs::{NewEvent, NewRun};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Durability, Uow};

use crate::{
    Chat, Work,
    answer::{self, AnswerInput},
    compose::{Composed, compose, most_bytes},
    cost::Terms,
    place::{Place, unsent},
};

/// How often sending looks again when the conversation went on meanwhile.
const ATTEMPTS: usize = 4;

/// How the model is to answer; what is `None` is up to the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// Output tokens at most.
    pub max_tokens: Option<u32>,
    /// 0 to 2; 0 always takes the likeliest token.
    pub temperature: Option<f32>,
    /// 0 to 1.
    pub top_p: Option<f32>,
    /// Makes the answer repeatable where the model can.
    pub seed: Option<u64>,
    /// 1 means none.
    pub repeat_penalty: Option<f32>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
}

/// What is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// A new prompt at the head of the conversation, or below the message that
    /// the client saw as the last one.
    Prompt {
        /// The text.
        content: String,
        /// `Some` refuses with `conflict` when the conversation went on elsewhere.
        after: Option<MessageId>,
    },
    /// A prompt in other words: a sibling of an earlier one.
    Edit {
        /// The earlier prompt.
        message: MessageId,
        /// The new text.
        content: String,
    },
    /// Another answer to the same prompt: a sibling of an earlier answer.
    Regenerate {
        /// The earlier answer, or the prompt itself.
        message: MessageId,
    },
}

/// A prompt for a conversation.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What is to be answered.
    pub aim: Aim,
    /// Another model than the conversation's, for this answer.
    pub model_id: Option<String>,
    /// How to answer.
    pub sampling: Sampling,
    /// What [`Chat::send`] must survive: durable where the client hears of the
    /// run before its end; else the end's commit, which is always durable and
    /// takes this one along, is enough.
    pub durability: Durability,
}

/// An answer has begun; follow its run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sent {
    /// The run whose log is the answer.
    pub run_id: RunId,
    /// The prompt, as stored.
    pub prompt_id: MessageId,
    /// The id the answer will have.
    pub message_id: MessageId,
}

/// Everything that is decided before the unit of work.
#[derive(Clone)]
struct Plan {
    conversation: Conversation,
    model: Arc<Model>,
    composed: Composed,
    /// The prompt to be stored and where it hangs; none for a regeneration.
    new_prompt: Option<(String, Parent)>,
    /// The prompt that is answered.
    prompt_id: MessageId,
    answer_id: MessageId,
    run: RunId,
    request: ChatRequest,
}

/// Other answers hold what this one needs.
#[derive(Debug, thiserror::Error)]
#[error("waiting for credits that other answers hold")]
struct Waiting(WalletId);

impl Chat {
    /// Sends a prompt (S0.3, S0.4): stores it, reserves credits and begins the
    /// answer, or changes nothing at all.
    ///
    /// # Errors
    /// `not_found`, `conversation_busy`, `conflict`, `invalid_model`,
    /// `insufficient_credits`, `context_too_long`, `validation_failed`.
    pub async fn send(&self, ctx: &Context, id: ConversationId, prompt: Prompt) -> Result<Sent> {
        ctx.account()?;
        validate(self, &prompt)?;
        // Sent again, it finds the conversation as it left it, and must not stumble over that.
        if let Some(sent) = self.0.store.answered(ctx).await? {
            return Ok(sent);
        }
        let patience = Instant::now() + self.0.accounting.options().hold_wait;
        let mut waiter: Option<Waiter> = None;
        let mut moved = 0;
        let mut plan = Arc::new(self.plan(ctx, id, &prompt).await?);
        loop {
            let error = match self.begin(ctx, &plan, prompt.durability).await {
                Ok(sent) => return Ok(sent),
                Err(error) => error,
            };
            if let Some(&Waiting(wallet)) = error.cause::<Waiting>() {
                match &mut waiter {
                    // Registered now, it hears of every release after the next look.
                    None => waiter = Some(self.0.accounting.waiter(wallet)),
                    Some(waiter) => {
                        if !waiter.released(patience).await {
                            return Err(short_of_credits());
                        }
                    }
                }
                continue;
            }
            let explicit = matches!(&prompt.aim, Aim::Prompt { after: Some(_), .. });
            if error.is(codes::CONFLICT) && !explicit && moved < ATTEMPTS {
                moved += 1;
                plan = Arc::new(self.plan(ctx, id, &prompt).await?);
                continue;
            }
            return Err(error);
        }
    }

    async fn plan(&self, ctx: &Context, id: ConversationId, prompt: &Prompt) -> Result<Plan> {
        let limit = self.0.options.history_messages;
        let args = (self.clone(), prompt.aim.clone(), prompt.model_id.clone());
        let (conversation, model, place) = self
            .0
            .store
            .read(ctx, args, move |reads, (chat, aim, model)| {
                Box::pin(async move {
                    let conversations = &chat.0.conversations;
                    let conversation = conversations.get_in(reads, id).await?;
                    let wanted = model.as_deref().unwrap_or(&conversation.model_id);
                    let model = chat.0.orchestrator.model(&reads.context()?, wanted)?;
                    let most = (limit, most_bytes(&model));
                    let place = Place::find(conversations, reads, &conversation, aim, most).await?;
                    Ok((conversation, model, place))
                })
            })
            .await?;
        let ids = &self.0.store.env().ids;
        let (run, answer_id) = (ids.next(), ids.next());
        let mut branch = place.above;
        let mut prompt_id = place.prompt;
        let new_prompt = place.new_prompt.map(|(content, parent)| {
            let id: MessageId = ids.next();
            prompt_id = Some(id);
            branch.insert(0, unsent(&conversation, id, &content));
            (content, parent)
        });
        let prompt_id = prompt_id.ok_or_else(|| Error::not_found("Message"))?;
        let system = conversation.system_prompt.as_deref();
        let sampling = &prompt.sampling;
        let composed = compose(
            &self.0.orchestrator,
            &model,
            system,
            &branch,
            sampling.max_tokens,
        )
        .await?;
        let room = u32::try_from(composed.room).unwrap_or(u32::MAX);
        let request = ChatRequest {
            messages: composed.messages.clone(),
            max_tokens: sampling.max_tokens.map(|max| max.min(room)),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            seed: sampling.seed,
            repeat_penalty: sampling.repeat_penalty,
            stop: sampling.stop.clone(),
            owner: conversation.account_id.to_string(),
            affinity: Some(conversation.id.to_string()),
        };
        Ok(Plan {
            conversation,
            model,
            composed,
            new_prompt,
            prompt_id,
            answer_id,
            run,
            request,
        })
    }

    async fn begin(&self, ctx: &Context, plan: &Arc<Plan>, durability: Durability) -> Result<Sent> {
        self.0
            .store
            .write_once(
                ctx,
                durability,
                (self.clone(), Arc::clone(plan)),
                |uow, (chat, plan)| Box::pin(chat.begin_in(uow, plan)),
            )
            .await
    }

    async fn begin_in(&self, uow: &mut Uow, plan: &Plan) -> Result<Sent> {
        let conversations = &self.0.conversations;
        let id = plan.conversation.id;
        let mut conversation = conversations.lock_in(uow, id).await?;
        conversation.claim(plan.run)?;
        if let Some((content, parent)) = &plan.new_prompt {
            let prompt = NewMessage {
                id: Some(plan.prompt_id),
                parent: *parent,
                expected_head: Some(plan.conversation.head),
                run_id: Some(plan.run),
                ..NewMessage::new(id, MessageRole::User, content.clone())
            };
            conversation.append(uow, prompt).await?;
            if conversation.conversation().title.is_empty() {
                conversation.name(&heuristic_title(content), TitleSource::Heuristic);
            }
        }
        conversation.save(uow).await?;
        let created = self.0.runs.create_in(uow, &plan.new_run()).await?;
        let hold = self.hold_in(uow, plan).await?;
        let (chat, run) = (self.clone(), plan.run);
        let work = Work {
            model: Arc::clone(&plan.model),
            request: plan.request(&hold),
            hold,
        };
        uow.after_commit(move || {
            kernel::fault::point("chat.send.committed");
            chat.prepare(run, work);
            chat.0.runs.launch(created);
        });
        Ok(Sent {
            run_id: plan.run,
            prompt_id: plan.prompt_id,
            message_id: plan.answer_id,
        })
    }

    async fn hold_in(&self, uow: &mut Uow, plan: &Plan) -> Result<Hold> {
        let accounting = &self.0.accounting;
        let price = self.price_of(uow, &plan.model).await?;
        let wanted = plan.request.max_tokens.map(u64::from);
        let prompt_tokens = plan.composed.prompt_tokens;
        let terms = Terms::of(&plan.model, prompt_tokens, wanted);
        let request = HoldRequest {
            run: plan.run,
            account: plan.conversation.account_id,
            conversation: Some(plan.conversation.id),
            model: plan.model.id.clone(),
            price,
            prompt_tokens,
            max_tokens: Some(terms.max_tokens),
            extendable: terms.extendable,
        };
        match accounting.hold_in(uow, &request).await? {
            HoldOutcome::Held(hold) => Ok(hold),
            HoldOutcome::Wait(wallet) => Err(short_of_credits().caused_by(Waiting(wallet))),
            HoldOutcome::Refused(error) => Err(error),
        }
    }
}

impl Plan {
    fn new_run(&self) -> NewRun {
        let input = AnswerInput {
            conversation: self.conversation.id,
            prompt: self.prompt_id,
            answer: self.answer_id,
            model: self.model.id.clone(),
            prompt_tokens: self.composed.prompt_tokens,
        };
        NewRun {
            id: self.run,
            kind: answer::KIND,
            owner: self.conversation.account_id,
            subject: Some(self.conversation.id.uuid()),
            input: json!(input),
            events: vec![NewEvent::new(
                "start",
                // The prompt is the answer's parent: another device sees where the answer hangs.
                json!({"run_id": self.run, "message_id": self.answer_id, "prompt_id": self.prompt_id}),
            )],
        }
    }

    /// A call that cannot be extended must not produce more than is held.
    fn request(&self, hold: &Hold) -> ChatRequest {
        let mut request = self.request.clone();
        if !self.model.grows() {
            request.max_tokens = Some(u32::try_from(hold.output_tokens).unwrap_or(u32::MAX));
        }
        request
    }
}

pub(crate) fn short_of_credits() -> Error {
    Error::new(
        codes::INSUFFICIENT_CREDITS,
        "Insufficient credits: other answers hold what this one needs. Wait for them to end, or ask \
         an administrator for more credits.",
    )
}

fn validate(chat: &Chat, prompt: &Prompt) -> Result<()> {
    match &prompt.aim {
        Aim::Prompt { content, .. } | Aim::Edit { content, .. } => {
            chat.0.conversations.validate_prompt(content)?;
        }
        Aim::Regenerate { .. } => {}
    }
    let sampling = &prompt.sampling;
    let within = |field: &str, value: Option<f32>, low: f32, high: f32| match value {
        Some(value) if !(low..=high).contains(&value) => Err(Error::invalid(
            field,
            format!("must be between {low} and {high}"),
        )),
        _ => Ok(()),
    };
    within("temperature", sampling.temperature, 0.0, 2.0)?;
    within("top_p", sampling.top_p, 0.0, 1.0)?;
    within("repeat_penalty", sampling.repeat_penalty, 0.5, 2.0)?;
    if sampling.max_tokens == Some(0) {
        return Err(Error::invalid("max_tokens", "must be at least 1"));
    }
    if sampling.stop.len() > 8 || sampling.stop.iter().any(|s| s.is_empty() || s.len() > 200) {
        return Err(Error::invalid("stop", "at most 8 texts of 1 to 200 bytes"));
    }
    Ok(())
}
