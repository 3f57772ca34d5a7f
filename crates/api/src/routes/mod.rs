//! Every route, once: a handler that is registered stands in the OpenAPI
//! document, because both are made from the same table.

mod account;
pub(crate) mod accounting;
pub(crate) mod admin;
mod assistants;
mod auth;
mod conversations;
mod docs;
mod events;
mod messages;
mod models;
mod operation;
mod page;
mod prompts;
mod runs;
mod share;
mod users;

use axum::{Router, middleware};
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate},
    },
    cors::{AllowOrigin, CorsLayer},
};
use utoipa::openapi::{
    Info, License, OpenApi, OpenApiBuilder,
    security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{App, envelope, options::Options};

/// All routes of the API. There is no other way to register one.
fn table() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document())
        .merge(auth::table())
        .merge(account::table())
        .merge(users::table())
        .merge(conversations::table())
        .merge(share::table())
        .merge(messages::table())
        .merge(assistants::table())
        .merge(prompts::table())
        .merge(runs::table())
        .merge(events::table())
        .merge(accounting::table())
        .merge(models::table())
        .merge(operation::table())
        .merge(docs::table())
        .merge(page::table())
}

/// The router with everything around it.
pub(crate) fn router(app: &App) -> Router {
    let (router, _) = table().split_for_parts();
    // Fonts are packed already.
    let worth_it = DefaultPredicate::new().and(NotForContentType::const_new("font/"));
    let router = wrap(router, app).layer(CompressionLayer::new().compress_when(worth_it));
    match cors(&app.options().server) {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// What every router of this door has: problems for unknown paths, and the envelope.
pub(crate) fn wrap(router: Router<App>, app: &App) -> Router {
    router
        .fallback(envelope::unknown_path)
        .method_not_allowed_fallback(envelope::unknown_method)
        .layer(middleware::from_fn_with_state(
            app.clone(),
            envelope::envelope,
        ))
        .with_state(app.clone())
}

/// The OpenAPI document as JSON.
#[must_use]
pub fn openapi() -> String {
    let (_, document) = table().split_for_parts();
    document.to_pretty_json().unwrap_or_default()
}

fn document() -> OpenApi {
    let mut info = Info::new("Tertulia", crate::VERSION);
    info.description = Some(
        "A self-hosted AI chat platform. Errors are RFC 9457 problems; their codes are described \
         at /docs/errors/{code}. Every path is also served below /api."
            .to_owned(),
    );
    info.license = Some(License::new("Apache-2.0"));
    let mut document = OpenApiBuilder::new().info(info).build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKeyValue::new("tertulia_access");
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(cookie));
    components.add_security_scheme("cookie", cookie);
    let either =
        ["bearer", "cookie"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    document.security = Some(either.into());
    document
}

/// Off unless origins are named.
fn cors(options: &Options) -> Option<CorsLayer> {
    if options.cors_origins.is_empty() {
        return None;
    }
    let origins: Vec<HeaderValue> = options
        .cors_origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins),
    };
    let sent = ["idempotency-key", "last-event-id", "x-request-id"].map(HeaderName::from_static);
    let shown = [
        "x-request-id",
        "x-run-id",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ]
    .map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(
            sent.into_iter()
                .chain([header::AUTHORIZATION, header::CONTENT_TYPE])
                .collect::<Vec<_>>(),
        )
        .expose_headers(
            shown
                .into_iter()
                .chain([header::RETRY_AFTER])
                .collect::<Vec<_>>(),
        )
        .max_age(std::time::Duration::from_secs(3600));
    Some(layer)
}
