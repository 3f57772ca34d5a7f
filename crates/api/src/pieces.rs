//! Long lists and files, read while they are sent: a client that takes them slowly has one piece in
//! memory at a time, and the end of its session is the end of what it gets.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use conversations::{Export, Reading};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use kernel::{Context, Error, Paged, Result};
use serde::Serialize;

use crate::{
    App,
    places::{Place, Use},
    problem::Answer,
};

/// One page of a list: whole if it is no more than a piece.
pub(crate) async fn list<T>(app: &App, ctx: &Context, mut reading: Reading<T>) -> Answer<Response>
where
    T: Serialize + Send + Sync + 'static,
{
    let (meta, data) = (reading.meta(), reading.next().await?);
    if reading.is_over() {
        return Ok(Json(Paged { data, meta }).into_response());
    }
    let place = app.place(ctx, Use::List)?;
    let mut first = b"{\"data\":[".to_vec();
    let begun = rows(&mut first, &data, false)?;
    let tail = serde_json::to_string(&meta).map_err(Error::internal)?;
    let tail: Arc<str> = format!("],\"meta\":{tail}}}").into();
    let (security, ctx) = (app.parts().security.clone(), ctx.clone());
    let rest = stream::try_unfold((reading, begun), move |(mut reading, begun)| {
        let (security, ctx, tail) = (security.clone(), ctx.clone(), tail.clone());
        async move {
            if reading.is_over() {
                return Ok(None);
            }
            security.recheck(&ctx).await?;
            let mut piece = Vec::new();
            let begun = rows(&mut piece, &reading.next().await?, begun)?;
            if reading.is_over() {
                piece.extend_from_slice(tail.as_bytes());
            }
            Ok::<_, Error>(Some((Bytes::from(piece), (reading, begun))))
        }
    });
    let first = stream::iter([Ok(Bytes::from(first))]);
    let body = place.held_by(Body::from_stream(first.chain(rest)));
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], body).into_response())
}

/// Rows of a list; answers whether it has begun.
fn rows<T: Serialize>(out: &mut Vec<u8>, rows: &[T], mut begun: bool) -> Result<bool> {
    for row in rows {
        if begun {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, row).map_err(Error::internal)?;
        begun = true;
    }
    Ok(begun)
}

/// A conversation's file.
pub(crate) async fn file(
    app: &App,
    ctx: &Context,
    mut export: Export,
    place: Place,
) -> Answer<Response> {
    let name = format!("attachment; filename=\"{}\"", export.file_name);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(export.media_type),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).map_err(Error::internal)?,
        ),
    ];
    // The first piece is read before anything is answered, so that most failures are an answer.
    let first = export.piece().await?.map(Ok);
    let (security, ctx) = (app.parts().security.clone(), ctx.clone());
    let rest = stream::try_unfold(export, move |mut export| {
        let (security, ctx) = (security.clone(), ctx.clone());
        async move {
            security.recheck(&ctx).await?;
            let piece = export.piece().await?;
            Ok::<_, Error>(piece.map(|piece| (piece, export)))
        }
    });
    let body = Body::from_stream(stream::iter(first).chain(rest));
    Ok((headers, place.held_by(body)).into_response())
}
