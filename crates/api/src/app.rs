//! What every handler can reach: the parts, the options, and the few steps that
//! all of them share.

use std::sync::{Arc, OnceLock};

use axum::response::Response;
use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use http::{HeaderName, HeaderValue};
use kernel::{Actor, Context, Error, Result};
use runs::RunEvents;
use security::{RateClass, Security};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    Options, Parts,
    cookies::Cookies,
    page::{self, Files},
    places::{Place, Places, Use},
    problem::Answer,
    rate::Class,
    seen::{Seen, Window},
    sse,
};

/// Open pages of one account, of which a browser has one for all of its tabs.
const PAGES: usize = 20;
/// Exports of one account at once.
const EXPORTS: usize = 2;
/// Long lists that are sent to one account at once.
const LISTS: usize = 20;

/// The state of the router. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    options: Options,
    shutdown: CancellationToken,
    places: Places,
    openapi: OnceLock<String>,
    cookies: Cookies,
    page: Files,
}

impl App {
    pub(crate) fn new(parts: Parts, options: Options, shutdown: CancellationToken) -> Self {
        let refresh_ttl = parts.security.options().refresh_ttl;
        let cookies = Cookies::new(&options.server.public_url, refresh_ttl);
        Self(Arc::new(Inner {
            parts,
            options,
            shutdown,
            places: Places::default(),
            openapi: OnceLock::new(),
            cookies,
            page: page::built,
        }))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// The cookies of the page's session.
    pub(crate) fn cookies(&self) -> &Cookies {
        &self.0.cookies
    }

    /// The page's files.
    pub(crate) fn page(&self) -> Files {
        self.0.page
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.shutdown.is_cancelled()
    }

    /// The OpenAPI document as JSON, made once.
    pub(crate) fn openapi(&self) -> &String {
        self.0.openapi.get_or_init(crate::routes::openapi)
    }

    /// The caller behind an access token, of whichever header.
    pub(crate) async fn authenticate(&self, bearer: &str, seen: &Seen) -> Result<Context> {
        let ctx = self.parts().security.authenticate(bearer, seen.id).await?;
        Ok(ctx.with_address(seen.address))
    }

    /// Somebody who has not signed in.
    pub(crate) fn anonymous(&self, seen: &Seen) -> Context {
        Context::new(
            self.parts().security.default_tenant().id,
            Actor::Anonymous,
            seen.id,
        )
        .with_address(seen.address)
    }

    /// Counts the request against the caller's limit; the answer's headers tell.
    pub(crate) async fn limit(&self, ctx: &Context, class: Class, seen: &Seen) -> Result<()> {
        let class = match class {
            Class::Chat => RateClass::Chat,
            Class::SignIn => RateClass::SignIn,
            Class::Reads => RateClass::Reads,
        };
        let rate = self.parts().security.rate(ctx, class).await;
        seen.set_window(Window {
            limit: rate.limit.into(),
            remaining: rate.remaining.into(),
            reset: rate.reset,
        });
        if rate.allowed {
            Ok(())
        } else {
            Err(Security::rate_limited(&rate))
        }
    }

    /// One more place of the caller.
    pub(crate) fn place(&self, ctx: &Context, what: Use) -> Result<Place> {
        let limit = match what {
            Use::Answer => self.options().server.max_streams_per_account,
            Use::Page => PAGES,
            Use::Export => EXPORTS,
            Use::List => LISTS,
        };
        self.0.places.take(ctx.account()?, what, limit)
    }

    /// A run's log as an event stream. It ends within seconds when the caller's
    /// session is revoked (S0.1).
    pub(crate) fn stream(
        &self,
        ctx: &Context,
        events: RunEvents,
        place: Place,
    ) -> Answer<Response> {
        let run = events.run().id;
        let over = revoked(self.parts().security.clone(), ctx.clone()).map(drop);
        let heartbeat = self.options().streams.heartbeat;
        let mut answer = sse::answer(sse::frames(events), heartbeat, over, place);
        if let Ok(id) = HeaderValue::from_str(&run.to_string()) {
            answer
                .headers_mut()
                .insert(HeaderName::from_static("x-run-id"), id);
        }
        Ok(answer)
    }

    /// An event stream that has no end of its own: it ends with the caller's session, or when the
    /// server stops.
    pub(crate) fn open_stream(
        &self,
        ctx: &Context,
        frames: impl Stream<Item = Bytes> + Send + 'static,
        place: Place,
    ) -> Response {
        let revoked = revoked(self.parts().security.clone(), ctx.clone());
        let stopping = self.0.shutdown.clone().cancelled_owned();
        let over = async move {
            tokio::select! {
                _ = revoked => {}
                () = stopping => {}
            }
        };
        sse::answer(frames, self.options().streams.heartbeat, over, place)
    }

    /// What the work answers, for a caller who waits for it as long as for a stream: only while the
    /// session lives.
    ///
    /// # Errors
    /// The work's; `token_revoked`.
    pub(crate) async fn while_signed_in<T>(
        &self,
        ctx: &Context,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let security = &self.parts().security;
        tokio::select! {
            done = work => {
                // The session may have ended since it was last looked at, and the work with it.
                security.recheck(ctx).await?;
                done
            }
            error = revoked(security.clone(), ctx.clone()) => Err(error),
        }
    }
}

/// Waits until the caller's session is no more; answers what says so. A database that is away for a
/// moment ends no stream.
async fn revoked(security: Security, ctx: Context) -> Error {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(2);
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = security.recheck(&ctx).await
            && !error.kind().is_ours()
        {
            return error;
        }
    }
}
