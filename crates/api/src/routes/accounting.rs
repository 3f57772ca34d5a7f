//! Credits and usage (S0.3, S0.7, S0.8, S0.12).

use std::sync::Arc;

use accounting::{
    Allocate, Allocated, Balance, Calculate, Calculated, Checked, Entry, GroupBy, Record, Recorded,
    Stats, StatsQuery,
};
use axum::{Extension, Json, extract::State};
use chat::{CheckAnswer, PromptSize};
use http::StatusCode;
use kernel::{AccountId, Credits, Error, Paged, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Amount, Caller, Posted, Query},
    problem::{Answer, ProblemBody},
    rate::Class,
    seen::Seen,
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(balance))
        .routes(routes!(ledger))
        .routes(routes!(check))
        .routes(routes!(calculate))
        .routes(routes!(allocate))
        .routes(routes!(record))
        .routes(routes!(stats))
        .routes(routes!(prices))
}

/// What a model costs.
#[derive(Debug, Serialize)]
struct ModelPrice {
    model_id: String,
    input_price: Credits,
    output_price: Credits,
    source: &'static str,
    valid_from: Timestamp,
}

/// What the models cost; for admins
#[utoipa::path(get, path = "/prices", tag = "credits", operation_id = "prices",
    params(("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query)),
    responses((status = 200, body = wire::PricePage), (status = 403, body = ProblemBody)),
)]
async fn prices(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<ModelPrice>>> {
    let page = query.page()?;
    let (orchestrator, accounting) = (&app.parts().orchestrator, &app.parts().accounting);
    let models = orchestrator.prices().into_iter().map(|(model, ..)| model);
    let prices = accounting.prices(&ctx, models.collect()).await?;
    let prices = prices.into_iter().map(|(model_id, price)| ModelPrice {
        source: match orchestrator.is_tabled(&model_id) {
            true => "table",
            false => "file",
        },
        model_id,
        input_price: price.input,
        output_price: price.output,
        valid_from: price.effective_from,
    });
    Ok(Json(Paged::of(prices.collect(), page)))
}

/// An id that cannot be read names nobody.
pub(crate) fn user(text: &str) -> Result<AccountId> {
    text.parse().map_err(|_| Error::not_found("User"))
}

/// What is available and what is held
#[utoipa::path(get, path = "/credits/balance", tag = "credits", operation_id = "credit_balance",
    params(("user_id" = Option<uuid::Uuid>, Query, description = "Somebody else's, for admins")),
    responses((status = 200, body = wire::Balance), (status = 403, body = ProblemBody)),
)]
async fn balance(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Balance>> {
    Ok(Json(
        app.parts().accounting.balance(&ctx, query.user()?).await?,
    ))
}

/// Every movement of one's credits, newest first
#[utoipa::path(get, path = "/credits/ledger", tag = "credits", operation_id = "credit_ledger",
    params(
        ("user_id" = Option<uuid::Uuid>, Query, description = "Somebody else's, for admins"),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query),
    ),
    responses((status = 200, body = wire::EntryPage), (status = 403, body = ProblemBody)),
)]
async fn ledger(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<Entry>>> {
    let ledger = app
        .parts()
        .accounting
        .ledger(&ctx, query.user()?, query.page()?)
        .await?;
    Ok(Json(ledger))
}

#[derive(Debug, Deserialize, ToSchema)]
struct CheckInput {
    /// Whose wallet; one's own without it.
    #[serde(alias = "userId")]
    user_id: Option<String>,
    #[serde(alias = "modelId")]
    model_id: String,
    /// Tokens of the prompt, or the prompt itself.
    #[serde(alias = "promptTokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "content", alias = "message")]
    prompt: Option<String>,
    /// Tokens of the answer at most.
    #[serde(alias = "maxTokens")]
    max_tokens: Option<u64>,
}

/// Counting the tokens of a longer text is work like that of sending it, and counts against the same
/// limit.
const LONG_PROMPT: usize = 16 * 1024;

/// Whether a request like this could be paid
///
/// A prompt of more than 16 KiB counts against the limit for prompts, too.
#[utoipa::path(post, path = "/credits/check", tag = "credits", operation_id = "check_credits",
    request_body = CheckInput,
    responses(
        (status = 200, body = wire::Checked),
        (status = 400, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 429, body = ProblemBody),
    ),
)]
async fn check(
    State(app): State<App>,
    Extension(seen): Extension<Arc<Seen>>,
    posted: Posted<CheckInput>,
) -> Answer<Json<Checked>> {
    let Posted { ctx, input } = posted;
    let prompt = match (input.prompt_tokens, input.prompt) {
        (Some(tokens), _) => PromptSize::Tokens(tokens),
        (None, Some(prompt)) => {
            if prompt.len() > LONG_PROMPT {
                app.limit(&ctx, Class::Chat, &seen).await?;
            }
            PromptSize::Text(prompt)
        }
        (None, None) => Err(Error::invalid(
            "prompt_tokens",
            "give prompt_tokens or prompt",
        ))?,
    };
    let check = CheckAnswer {
        user: input.user_id.as_deref().map(user).transpose()?,
        model: input.model_id,
        prompt,
        max_tokens: input.max_tokens,
    };
    Ok(Json(app.parts().chat.check(&ctx, check).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
struct CalculateInput {
    #[serde(alias = "modelId")]
    model_id: String,
    #[serde(alias = "promptTokens")]
    prompt_tokens: u64,
    #[serde(alias = "completionTokens")]
    completion_tokens: u64,
}

/// What so many tokens would cost
#[utoipa::path(post, path = "/credits/calculate", tag = "credits", operation_id = "calculate_credits",
    request_body = CalculateInput,
    responses(
        (status = 200, body = wire::Calculated),
        (status = 400, body = ProblemBody), (status = 422, body = ProblemBody),
    ),
)]
async fn calculate(
    State(app): State<App>,
    posted: Posted<CalculateInput>,
) -> Answer<Json<Calculated>> {
    let Posted { ctx, input } = posted;
    let what = Calculate {
        model: input.model_id,
        prompt_tokens: input.prompt_tokens,
        completion_tokens: input.completion_tokens,
    };
    Ok(Json(app.parts().chat.calculate(&ctx, what).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
struct AllocateInput {
    #[serde(alias = "targetUserId", alias = "user_id", alias = "userId")]
    target_user_id: String,
    /// More than 0, at most six places.
    #[schema(value_type = f64)]
    amount: Amount,
    /// When what is left of them is gone.
    #[serde(alias = "expiresAt")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    note: Option<String>,
}

/// Gives credits to somebody; for admins
#[utoipa::path(post, path = "/credits/allocate", tag = "credits", operation_id = "allocate_credits",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = AllocateInput,
    responses(
        (status = 200, body = wire::Allocated), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 422, body = ProblemBody),
    ),
)]
async fn allocate(
    State(app): State<App>,
    posted: Posted<AllocateInput>,
) -> Answer<Json<Allocated>> {
    let Posted { ctx, input } = posted;
    ctx.require(&[kernel::Role::Admin])?;
    let allocate = Allocate {
        target: user(&input.target_user_id)?,
        amount: input.amount.0,
        expires_at: input.expires_at,
        note: input.note,
    };
    Ok(Json(app.parts().accounting.allocate(&ctx, allocate).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
struct RecordInput {
    #[serde(alias = "userId")]
    user_id: String,
    #[serde(alias = "modelId")]
    model_id: String,
    #[serde(alias = "promptTokens")]
    prompt_tokens: u64,
    #[serde(alias = "completionTokens")]
    completion_tokens: u64,
    /// Whatever belongs to it.
    #[serde(default)]
    metadata: Value,
}

/// Usage that another program reports; for services and admins
#[utoipa::path(post, path = "/usage/record", tag = "usage", operation_id = "record_usage",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = RecordInput,
    responses(
        (status = 201, body = wire::Recorded), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 422, body = ProblemBody),
    ),
)]
async fn record(
    State(app): State<App>,
    posted: Posted<RecordInput>,
) -> Answer<(StatusCode, Json<Recorded>)> {
    let Posted { ctx, input } = posted;
    ctx.require(&[kernel::Role::Service, kernel::Role::Admin])?;
    let record = Record {
        user: user(&input.user_id)?,
        model: input.model_id,
        prompt_tokens: input.prompt_tokens,
        completion_tokens: input.completion_tokens,
        metadata: input.metadata,
    };
    Ok((
        StatusCode::CREATED,
        Json(app.parts().chat.record(&ctx, record).await?),
    ))
}

/// Usage, summed and grouped
#[utoipa::path(get, path = "/usage/stats", tag = "usage", operation_id = "usage_stats",
    params(
        ("from" = Option<String>, Query, description = "Not before this time or day"),
        ("to" = Option<String>, Query, description = "Before this time or day"),
        ("group_by" = Option<String>, Query, description = "day, model or conversation"),
        ("user_id" = Option<uuid::Uuid>, Query, description = "Somebody else's, for admins"),
    ),
    responses((status = 200, body = wire::Stats), (status = 422, body = ProblemBody)),
)]
async fn stats(State(app): State<App>, Caller(ctx): Caller, query: Query) -> Answer<Json<Stats>> {
    let group_by = match query.text("group_by").or_else(|| query.text("groupBy")) {
        None | Some("day") => GroupBy::Day,
        Some("model") => GroupBy::Model,
        Some("conversation" | "session") => GroupBy::Conversation,
        Some(_) => Err(Error::invalid("group_by", "is day, model or conversation"))?,
    };
    let what = StatsQuery {
        from: query.moment("from")?,
        to: query.moment("to")?,
        group_by,
        user: query.user()?,
    };
    Ok(Json(app.parts().accounting.stats(&ctx, what).await?))
}
