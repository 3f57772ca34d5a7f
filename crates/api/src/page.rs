//! The page: what `make page` has built, out of the binary (debug builds read it
//! from `web/dist`), with the headers it needs. It shows what the API answers and
//! decides nothing.

use std::borrow::Cow;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Built;

/// A file of the page.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) bytes: Cow<'static, [u8]>,
    /// Of its content.
    pub(crate) hash: [u8; 32],
}

/// Where the page's files come from, by their path below `web/dist`.
pub(crate) type Files = fn(&str) -> Option<File>;

/// The page of this build.
pub(crate) fn built(path: &str) -> Option<File> {
    let file = Built::get(path)?;
    Some(File {
        hash: file.metadata.sha256_hash(),
        bytes: file.data,
    })
}

const INDEX: &str = "index.html";
/// Below this, names change with their content.
const HASHED: &str = "assets/";

/// Scripts, styles and data come from this server only. Pictures in answers may come from elsewhere;
/// the page shows those after a click.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    style-src-attr 'unsafe-inline'; img-src 'self' data: blob: https:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// What every answer below `/app` says besides what every answer of the server says.
const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", POLICY),
    // The page's own requests tell where they come from, nobody else's do.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// The answer to a request for something below `/app`. What is no file is a place within the page,
/// which finds its way from there itself; only what must be a file is not found.
pub(crate) fn answer(files: Files, path: &str, headers: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    let named = Some(path)
        .filter(|path| is_plain(path) && !path.ends_with(".br"))
        .and_then(|path| Some((path, files(path)?)));
    let mut response = match named {
        Some((path, file)) => sent(files, path, file, headers),
        None if path.starts_with(HASHED) && files(INDEX).is_some() => gone(),
        None => match files(INDEX) {
            Some(file) => sent(files, INDEX, file, headers),
            None => not_built(),
        },
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Leads to a file below the folder and nowhere else.
fn is_plain(path: &str) -> bool {
    !path.contains(['\\', '\0', '%'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn sent(files: Files, path: &str, file: File, headers: &HeaderMap) -> Response {
    let tag = format!("W/\"{}\"", hex::encode(&file.hash[..12]));
    let packed = takes_brotli(headers)
        .then(|| files(&format!("{path}.br")))
        .flatten();
    let caching = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let unchanged = is_known(headers, &tag);
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    let bytes = match packed {
        Some(packed) => {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
            packed.bytes
        }
        None => file.bytes,
    };
    *response.body_mut() = Body::from(match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    });
    response
}

/// A part of an older page, which a browser still has open.
fn gone() -> Response {
    let text = "This file belongs to another version of the page; load the page again.\n";
    plain(StatusCode::NOT_FOUND, text)
}

fn not_built() -> Response {
    let text = "The page is not built into this server: `make page` builds it (it needs Node.js). \
                The API works without it; its documentation is at /docs.\n";
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let caching = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, caching);
    response
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether the client has this very content already (RFC 9110, 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut known = known.map(opaque);
    known.any(|known| known == "*" || known == opaque(tag))
}

/// Whether the client takes Brotli: it names it, or everything, and not with a weight of zero.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let codings = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut named, mut all) = (None, false);
    for coding in codings {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=");
        let wanted =
            weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|q| q > 0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("br") => named = Some(wanted),
            "*" => all = wanted,
            _ => {}
        }
    }
    named.unwrap_or(all)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// A page of four files.
    fn files(path: &str) -> Option<File> {
        let bytes: &'static [u8] = match path {
            "index.html" => b"<!doctype html>",
            "index.html.br" => b"packed html",
            "assets/app-1a2b.js" => b"export {}",
            "assets/app-1a2b.js.br" => b"packed script",
            "assets/inter.woff2" => b"font",
            "icon.svg" => b"<svg/>",
            _ => return None,
        };
        let mut hash = [7; 32];
        hash[0] = bytes[0];
        hash[1] = u8::try_from(bytes.len()).unwrap();
        Some(File {
            bytes: Cow::Borrowed(bytes),
            hash,
        })
    }

    fn nothing(_: &str) -> Option<File> {
        None
    }

    async fn get(
        files: Files,
        path: &str,
        sent: &[(&'static str, &str)],
    ) -> (http::response::Parts, String) {
        let headers = sent.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        let (parts, body) = answer(files, path, &headers.collect()).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn places_within_the_page_are_the_page() {
        for path in [
            "",
            "/",
            "conversations/1",
            "shared/abc",
            "settings.account",
            "nothing.js",
            "../../etc/passwd",
        ] {
            let (parts, body) = get(files, path, &[]).await;
            assert_eq!(
                (parts.status, body.as_str()),
                (StatusCode::OK, "<!doctype html>"),
                "{path}"
            );
            assert_eq!(parts.headers["content-type"], "text/html; charset=utf-8");
            assert_eq!(parts.headers["cache-control"], "no-cache");
            let policy = parts.headers["content-security-policy"].to_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; ")
            );
            assert!(policy.ends_with("; form-action 'self'; frame-ancestors 'none'"));
            assert!(!policy.contains("  "), "{policy}");
        }
        let (parts, body) = get(files, "icon.svg", &[]).await;
        assert_eq!((parts.status, body.as_str()), (StatusCode::OK, "<svg/>"));
        assert_eq!(parts.headers["content-type"], "image/svg+xml");
        assert_eq!(parts.headers["cache-control"], "no-cache");
    }

    #[tokio::test]
    async fn assets_are_kept_for_good_and_packed_where_that_is_taken() {
        const APP: &str = "assets/app-1a2b.js";
        for (accepted, packed) in [
            ("gzip, deflate, br", true),
            ("gzip;q=1.0, BR ;q=0.5", true),
            ("*", true),
            ("br;q=0, *", false),
            ("br; q=0.000", false),
            ("gzip", false),
            ("brotli", false),
            ("", false),
        ] {
            let (parts, body) = get(files, APP, &[("accept-encoding", accepted)]).await;
            let expected = if packed { "packed script" } else { "export {}" };
            assert_eq!(body, expected, "{accepted}");
            assert_eq!(
                parts.headers.contains_key("content-encoding"),
                packed,
                "{accepted}"
            );
            assert_eq!(
                parts.headers["content-type"],
                "text/javascript; charset=utf-8"
            );
            assert_eq!(parts.headers["vary"], "Accept-Encoding");
            assert_eq!(
                parts.headers["cache-control"],
                "public, max-age=31536000, immutable"
            );
        }
        // What is not there packed comes as it is.
        let (parts, body) = get(files, "assets/inter.woff2", &[("accept-encoding", "br")]).await;
        assert_eq!(
            (body.as_str(), parts.headers.get("content-encoding")),
            ("font", None)
        );
        assert_eq!(parts.headers["content-type"], "font/woff2");
        // An old page's script is not the new page.
        for path in [
            "assets/app-0000.js",
            "assets/app-1a2b.js.br",
            "assets/../index.html",
            "assets/",
        ] {
            let (parts, body) = get(files, path, &[]).await;
            assert_eq!(parts.status, StatusCode::NOT_FOUND, "{path}: {body}");
            assert_eq!(parts.headers["cache-control"], "no-store");
        }
    }

    #[tokio::test]
    async fn what_a_browser_has_is_not_sent_again() {
        let (parts, _) = get(files, "", &[]).await;
        let tag = parts.headers["etag"].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("\"x\", {tag}"), "*".to_owned()] {
            let sent = [("if-none-match", known.as_str()), ("accept-encoding", "br")];
            let (parts, body) = get(files, "", &sent).await;
            assert_eq!(
                (parts.status, body.as_str()),
                (StatusCode::NOT_MODIFIED, "")
            );
            assert_eq!(parts.headers["etag"], tag.as_str());
        }
        let (parts, _) = get(files, "", &[("if-none-match", "W/\"old\"")]).await;
        assert_eq!(parts.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_page_that_is_not_built_says_how() {
        for path in ["", "conversations/1", "assets/app-1a2b.js"] {
            let (parts, body) = get(nothing, path, &[]).await;
            assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(body.contains("make page"), "{body}");
            assert!(parts.headers.contains_key("retry-after"));
        }
    }
}
