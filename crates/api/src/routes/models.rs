//! Models: which there are for the caller (S0.5).

use axum::{Json, extract::State};
use kernel::Credits;
use orchestrator::{Model, ModelKind};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{App, extract::Caller, problem::Answer};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
struct ModelWire {
    id: String,
    /// chat or embedding
    #[schema(value_type = String)]
    kind: ModelKind,
    /// Tokens of prompt and answer together.
    context_window: u32,
    /// Tokens of one answer at most.
    max_output_tokens: Option<u32>,
    /// Credits for 1,000 tokens of the prompt; null is free, and for admins only.
    #[schema(value_type = Option<f64>)]
    input_price: Option<Credits>,
    /// Credits for 1,000 tokens of the answer.
    #[schema(value_type = Option<f64>)]
    output_price: Option<Credits>,
    /// Who serves it, the preferred one first.
    providers: Vec<String>,
}

impl From<&Model> for ModelWire {
    fn from(model: &Model) -> Self {
        Self {
            id: model.id.clone(),
            kind: model.kind,
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            input_price: model.prices.map(|prices| prices.input),
            output_price: model.prices.map(|prices| prices.output),
            providers: model
                .deployments
                .iter()
                .map(|d| d.provider.clone())
                .collect(),
        }
    }
}

/// The models one may use, in order of preference.
#[derive(Debug, Serialize, ToSchema)]
struct Models {
    data: Vec<ModelWire>,
    /// What to do when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    hint: Option<&'static str>,
}

/// The models one may use, in order of preference
#[utoipa::path(get, path = "/models", tag = "models", operation_id = "list_models",
    responses((status = 200, body = Models)),
)]
async fn list(State(app): State<App>, Caller(ctx): Caller) -> Answer<Json<Models>> {
    ctx.account()?;
    let models = app.parts().orchestrator.models(&ctx);
    let data: Vec<ModelWire> = models
        .iter()
        .map(|model| ModelWire::from(&**model))
        .collect();
    let hint = data.is_empty().then_some(
        "No model is configured. Run `make models` for the local one, or set OPENAI_API_KEY, or add \
         [[providers]] and [[models]] to the configuration; then start the server again.",
    );
    Ok(Json(Models { data, hint }))
}
