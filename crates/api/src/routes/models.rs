//! Models: which there are for the caller (S0.5).

use axum::{Json, extract::State};
use kernel::{Credits, PageMeta, Paged};
use orchestrator::{Model, ModelKind, ModelState, Trouble};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Caller, Query},
    problem::Answer,
    wire,
};

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
    state: StateWire,
}

/// Whether a model can answer, as far as is known without asking it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelState)]
struct StateWire {
    /// `ready`: in memory; `loading`; `cold`: loaded when it is first asked, which takes a moment; `available`: its
    /// provider was not heard to fail; `unavailable`: it will probably not answer, for the `reason`.
    #[schema(example = "ready")]
    status: &'static str,
    /// file_missing, not_loadable, key_refused, overloaded, unreachable, too_slow, unknown_model, failing. A failure is
    /// told for at most two minutes, and until the model answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, example = "key_refused")]
    reason: Option<Trouble>,
    /// The reason as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    detail: Option<&'static str>,
}

impl From<ModelState> for StateWire {
    fn from(state: ModelState) -> Self {
        let reason = match state {
            ModelState::Unavailable(trouble) => Some(trouble),
            _ => None,
        };
        Self {
            status: state.as_str(),
            reason,
            detail: reason.map(Trouble::sentence),
        }
    }
}

impl ModelWire {
    fn new(model: &Model, state: ModelState) -> Self {
        Self {
            state: state.into(),
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

/// A page of the models one may use, in order of preference.
#[derive(Debug, Serialize, ToSchema)]
struct Models {
    data: Vec<ModelWire>,
    #[schema(value_type = wire::PageMeta)]
    meta: PageMeta,
    /// What to do when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    hint: Option<&'static str>,
}

/// The models one may use, in order of preference
#[utoipa::path(get, path = "/models", tag = "models", operation_id = "list_models",
    params(("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query)),
    responses((status = 200, body = Models)),
)]
async fn list(State(app): State<App>, Caller(ctx): Caller, query: Query) -> Answer<Json<Models>> {
    ctx.account()?;
    let orchestrator = &app.parts().orchestrator;
    let page = Paged::of(orchestrator.models(&ctx), query.page()?);
    let Paged { data, meta } = page.map(|model| ModelWire::new(&model, orchestrator.state(&model)));
    let hint = (meta.total == 0).then_some(
        "No model is configured. Run `make models` for the local one, or set OPENAI_API_KEY, or add \
         [[providers]] and [[models]] to the configuration; then start the server again.",
    );
    Ok(Json(Models { data, meta, hint }))
}
