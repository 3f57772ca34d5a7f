//! The page's session: two cookies that no script can read, and the rule that
//! keeps other sites from using them. Programs send `Authorization: Bearer`
//! instead, to which none of this applies.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, uri::Authority};
use kernel::{Error, Result, codes};
use security::{Tokens, User};
use serde::Serialize;
use std::time::Duration;

/// What the page gets when it has signed in or refreshed: its tokens are in the cookies.
#[derive(Debug, Serialize)]
struct Session {
    token_type: &'static str,
    expires_in: u64,
    user: User,
}

/// How the cookies are named and made, which depends on the public address.
#[derive(Debug)]
pub(crate) struct Cookies {
    access: &'static str,
    refresh: &'static str,
    refresh_path: &'static str,
    /// Browsers send them over TLS only.
    secure: bool,
    /// Where people open the page, if an operator has said it.
    public: Option<Uri>,
    refresh_ttl: Duration,
}

impl Cookies {
    pub(crate) fn new(public_url: &str, refresh_ttl: Duration) -> Self {
        let public = public_url.parse::<Uri>().ok();
        let public = public.filter(|uri| uri.host().is_some());
        let secure = public
            .as_ref()
            .is_some_and(|uri| uri.scheme_str() == Some("https"));
        // The prefix makes browsers insist on the attributes, and on a cookie of this very host: no
        // neighbour can set one of that name, and with a second one take the first away (RFC 6265bis,
        // 4.1.3.2). It costs that the refresh token goes along to every path, not only where it is
        // wanted; a path keeps nothing from anybody who can see or answer requests.
        let (access, refresh, refresh_path) = if secure {
            ("__Host-tertulia_access", "__Host-tertulia_refresh", "/")
        } else {
            ("tertulia_access", "tertulia_refresh", "/auth")
        };
        Self {
            access,
            refresh,
            refresh_path,
            secure,
            public,
            refresh_ttl,
        }
    }

    /// The access token in the request's cookies.
    pub(crate) fn access<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, self.access)
    }

    /// The refresh token in the request's cookies.
    pub(crate) fn refresh<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, self.refresh)
    }

    /// The answer to a page that has signed in or refreshed.
    pub(crate) fn session(&self, tokens: Tokens) -> Response {
        let Tokens {
            access_token,
            refresh_token,
            expires_in,
            user,
            ..
        } = tokens;
        let session = Session {
            token_type: "cookie",
            expires_in,
            user,
        };
        let mut response = Json(session).into_response();
        let refresh_for = self.refresh_ttl.as_secs();
        self.set(&mut response, &access_token, expires_in);
        self.set_refresh(&mut response, &refresh_token, refresh_for);
        response
    }

    /// Makes the browser forget both.
    pub(crate) fn clear(&self, response: &mut Response) {
        self.set(response, "", 0);
        self.set_refresh(response, "", 0);
    }

    fn set(&self, response: &mut Response, value: &str, seconds: u64) {
        self.append(response, self.access, value, "/", seconds);
    }

    fn set_refresh(&self, response: &mut Response, value: &str, seconds: u64) {
        self.append(response, self.refresh, value, self.refresh_path, seconds);
    }

    fn append(&self, response: &mut Response, name: &str, value: &str, path: &str, seconds: u64) {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!(
            "{name}={value}; HttpOnly; SameSite=Strict; Path={path}; Max-Age={seconds}{secure}"
        );
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// Whether a request that brings a cookie comes from our own page; what changes nothing may come
    /// from anywhere, but not as an image or the like: an answer could make the reader's browser ask
    /// for hundreds of them. The rule is that of Go 1.25's `CrossOriginProtection`, but that a request
    /// which says nothing about where it comes from is refused.
    ///
    /// # Errors
    /// `csrf_failed`.
    pub(crate) fn require_own_page(&self, method: &Method, headers: &HeaderMap) -> Result<()> {
        let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let allowed = match safe {
            true => !is_embedded(headers),
            false => self.is_from_own_page(headers),
        };
        if allowed {
            return Ok(());
        }
        Err(Error::new(
            codes::CSRF_FAILED,
            "This request does not come from the server's own page, so it may not use that page's \
             cookie. Programs send `Authorization: Bearer <access token>`.",
        ))
    }

    fn is_from_own_page(&self, headers: &HeaderMap) -> bool {
        const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        if let Some(site) = headers.get(SITE) {
            return site == "same-origin" || site == "none";
        }
        let origin = text(headers, &header::ORIGIN).and_then(|text| text.parse::<Uri>().ok());
        let Some(origin) = origin.as_ref().and_then(Place::of) else {
            return false;
        };
        let host = text(headers, &header::HOST).and_then(|text| text.parse::<Authority>().ok());
        let here = host.map(|host| Place::at(&host, origin.tls));
        let public = self.public.as_ref().and_then(Place::of);
        here.is_some_and(|here| here == origin) || public.is_some_and(|public| public == origin)
    }
}

/// A host and its port, which an address need not name.
#[derive(PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    tls: bool,
}

impl Place {
    fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        Some(Self::at(uri.authority()?, tls))
    }

    fn at(authority: &Authority, tls: bool) -> Self {
        let usual = if tls { 443 } else { 80 };
        Self {
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(usual),
            tls,
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the browser fetches this as a part of a page, and neither for a script nor as a page.
fn is_embedded(headers: &HeaderMap) -> bool {
    const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
    headers
        .get(DESTINATION)
        .is_some_and(|what| what != "empty" && what != "document")
}

/// The cookie of that name; none where there are two: one of them is somebody else's, set from a
/// neighbour's host, and the browser does not tell which.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value);
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let cookies = Cookies::new("", TTL);
        let sent = headers(&[(
            "cookie",
            "a=b; xtertulia_access=no; tertulia_access=; tertulia_access=yes;tertulia_refresh=r=1",
        )]);
        assert_eq!(cookies.access(&sent), Some("yes"));
        assert_eq!(cookies.refresh(&sent), Some("r=1"));
        let twice = headers(&[("cookie", "tertulia_refresh=mine; tertulia_refresh=theirs")]);
        assert_eq!(cookies.refresh(&twice), None);
        // Behind TLS only the prefixed ones count: nobody can set those from elsewhere.
        let secure = Cookies::new("https://chat.example.org", TTL);
        assert_eq!(secure.access(&sent), None);
        assert_eq!(secure.refresh(&sent), None);
        let sent = headers(&[(
            "cookie",
            "__Host-tertulia_access=yes; __Host-tertulia_refresh=r; __Secure-tertulia_refresh=no",
        )]);
        assert_eq!(secure.access(&sent), Some("yes"));
        assert_eq!(secure.refresh(&sent), Some("r"));
    }

    /// What browsers demand of the prefix: Secure, the whole host, and every path.
    #[test]
    fn behind_tls_both_cookies_are_this_very_hosts() {
        let set = |url: &str| {
            let cookies = Cookies::new(url, TTL);
            let mut response = ().into_response();
            cookies.clear(&mut response);
            let all = response.headers().get_all(header::SET_COOKIE).iter();
            all.map(|text| text.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            set("https://chat.example.org"),
            ["access", "refresh"].map(|name| format!(
                "__Host-tertulia_{name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0; Secure"
            ))
        );
        assert_eq!(
            set("http://box.lan"),
            [("access", "/"), ("refresh", "/auth")].map(|(name, path)| format!(
                "tertulia_{name}=; HttpOnly; SameSite=Strict; Path={path}; Max-Age=0"
            ))
        );
    }

    #[test]
    fn only_our_own_page_changes_anything() {
        let cookies = Cookies::new("https://chat.example.org/", TTL);
        let own = |pairs: &[(&'static str, &str)]| {
            let told = cookies.require_own_page(&Method::POST, &headers(pairs));
            assert!(
                told.as_ref().is_ok() || told.as_ref().is_err_and(|e| e.is(codes::CSRF_FAILED))
            );
            told.is_ok()
        };
        for (site, fine) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            // What the browser says about the site decides, whatever the origin looks like.
            for origin in ["https://chat.example.org", "https://evil.example"] {
                let sent = [
                    ("sec-fetch-site", site),
                    ("origin", origin),
                    ("host", "10.0.0.1:8080"),
                ];
                assert_eq!(own(&sent), fine, "{site} {origin}");
            }
        }
        for (origin, host, fine) in [
            ("https://chat.example.org", "10.0.0.1:8080", true),
            ("https://CHAT.example.org:443", "10.0.0.1:8080", true),
            ("http://10.0.0.1:8080", "10.0.0.1:8080", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://box.lan", "box.lan:80", true),
            ("http://chat.example.org", "10.0.0.1:8080", false),
            ("https://chat.example.org:444", "10.0.0.1:8080", false),
            (
                "https://chat.example.org.evil.example",
                "10.0.0.1:8080",
                false,
            ),
            ("http://10.0.0.1:8081", "10.0.0.1:8080", false),
            ("http://10.0.0.1", "10.0.0.1:8080", false),
            ("null", "10.0.0.1:8080", false),
            ("", "10.0.0.1:8080", false),
            ("ftp://10.0.0.1:8080", "10.0.0.1:8080", false),
        ] {
            assert_eq!(
                own(&[("origin", origin), ("host", host)]),
                fine,
                "{origin} at {host}"
            );
        }
        assert!(!own(&[("host", "10.0.0.1:8080")]));
        assert!(!own(&[
            ("referer", "https://chat.example.org/app"),
            ("host", "10.0.0.1:8080")
        ]));
        for safe in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let sent = headers(&[("sec-fetch-site", "cross-site")]);
            assert!(cookies.require_own_page(&safe, &sent).is_ok());
            for (what, fine) in [
                ("image", false),
                ("script", false),
                ("iframe", false),
                ("empty", true),
                ("document", true),
            ] {
                let sent = headers(&[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", what)]);
                assert_eq!(
                    cookies.require_own_page(&safe, &sent).is_ok(),
                    fine,
                    "{what}"
                );
            }
        }
        for unsafe_ in [Method::PUT, Method::PATCH, Method::DELETE] {
            let sent = headers(&[("sec-fetch-site", "cross-site")]);
            assert!(cookies.require_own_page(&unsafe_, &sent).is_err());
        }
    }
}
