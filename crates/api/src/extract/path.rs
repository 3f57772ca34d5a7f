//! Ids in paths. One that cannot be read names nothing: 404, like one that is
//! not there.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use kernel::{Error, Id, kinds};

use crate::{App, problem::Problem};

/// A kind of thing that paths name.
pub(crate) trait Named {
    /// Its name in "... not found."
    const WHAT: &'static str;
}

macro_rules! named {
    ($($kind:ident = $what:literal;)*) => {
        $(impl Named for kinds::$kind {
            const WHAT: &'static str = $what;
        })*
    };
}
named! {
    Account = "User";
    AuthSession = "Session";
    Conversation = "Conversation";
    Message = "Message";
    Assistant = "Assistant";
    SavedPrompt = "Prompt";
    Run = "Run";
}

fn parse<K: Named>(text: &str) -> Result<Id<K>, Problem> {
    text.parse().map_err(|_| Problem(Error::not_found(K::WHAT)))
}

/// The one id of a path.
pub(crate) struct Key<K>(pub(crate) Id<K>, PhantomData<K>);

impl<K: Named> FromRequestParts<App> for Key<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        let text = text.map_err(|_| Problem(Error::not_found(K::WHAT)))?;
        Ok(Self(parse(&text.0)?, PhantomData))
    }
}

/// The two ids of a path, outer one first.
pub(crate) struct Keys<A, B>(pub(crate) Id<A>, pub(crate) Id<B>, PhantomData<(A, B)>);

impl<A: Named, B: Named> FromRequestParts<App> for Keys<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let texts = Path::<(String, String)>::from_request_parts(parts, app).await;
        let Path((outer, inner)) = texts.map_err(|_| Problem(Error::not_found(B::WHAT)))?;
        Ok(Self(parse(&outer)?, parse(&inner)?, PhantomData))
    }
}
