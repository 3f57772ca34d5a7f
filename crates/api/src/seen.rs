//! What is known about a request while it is handled: its id, where it came
//! from, and what its answer's headers must say. Not the caller's identity.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, Uri};
use kernel::{Ids, RequestId};

/// `X-Request-Id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a connection comes from; the listener puts it into every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<SocketAddr>);

/// What the limit of the caller's class says after this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Requests allowed in a window.
    pub(crate) limit: u64,
    /// Requests left.
    pub(crate) remaining: u64,
    /// Until the window is free again.
    pub(crate) reset: Duration,
}

/// One request, as its handling sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: RequestId,
    /// The path as the client sent it, without the query.
    pub(crate) path: String,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub(crate) address: Option<IpAddr>,
    /// From this very machine and to it by name, and no proxy in between that says so.
    pub(crate) is_local: bool,
    window: Mutex<Option<Window>>,
}

impl Seen {
    /// Looks at a request that has just arrived.
    pub(crate) fn new(
        ids: &Ids,
        headers: &HeaderMap,
        path: String,
        peer: Option<IpAddr>,
        trusted: &[IpAddr],
    ) -> Arc<Self> {
        Arc::new(Self {
            id: incoming_id(headers).unwrap_or_else(|| ids.next()),
            path,
            address: client_address(headers, peer, trusted),
            is_local: peer.is_some_and(|peer| peer.to_canonical().is_loopback())
                && !PROXIED.iter().any(|name| headers.contains_key(*name))
                && names_this_machine(headers),
            window: Mutex::new(None),
        })
    }

    pub(crate) fn set_window(&self, window: Window) {
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) = Some(window);
    }

    pub(crate) fn window(&self) -> Option<Window> {
        *self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(path: &str) -> Self {
        Self {
            id: RequestId::from_uuid(uuid::Uuid::nil()),
            path: path.to_owned(),
            address: None,
            is_local: true,
            window: Mutex::new(None),
        }
    }
}

/// What proxies add; with one of these a request comes from elsewhere.
const PROXIED: [&str; 7] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "via",
    "cf-connecting-ip",
];

/// Whether the request was meant for this machine by name; a page elsewhere may
/// let its own name point here (DNS rebinding).
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(http::header::HOST);
    host.is_some_and(|host| is_this_machine(host.to_str().unwrap_or_default()))
}

/// Whether nobody elsewhere is to reach the server: an operator who has said its public address has a
/// proxy on this machine, perhaps one that says nothing of itself.
pub(crate) fn stays_at_home(public_url: &str) -> bool {
    let public = public_url.parse::<Uri>().ok();
    public_url.is_empty() || public.is_some_and(|uri| uri.host().is_some_and(is_this_machine))
}

/// Whether a host, with a port or without, is this machine for itself.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A client's own request id is kept when it is a UUID; other texts could forge
/// lines in a log.
fn incoming_id(headers: &HeaderMap) -> Option<RequestId> {
    let id: RequestId = headers.get(REQUEST_ID)?.to_str().ok()?.parse().ok()?;
    (!id.uuid().is_nil()).then_some(id)
}

/// The last address of `X-Forwarded-For` that is no trusted proxy, when the
/// peer is one; the peer's otherwise.
fn client_address(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpAddr]) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    if !trusted.contains(&peer) {
        return Some(peer);
    }
    let hops: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else {
            break;
        };
        client = address.to_canonical();
        if !trusted.contains(&client) {
            break;
        }
    }
    Some(client)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_uuids_are_taken_over_as_request_ids() {
        let ids = Ids::new(kernel::Clock::system(), kernel::Random::system());
        let id = "018f4e5c-7a2b-7c3d-8e4f-5a6b7c8d9e0f";
        for (sent, kept) in [
            (id, true),
            ("x y", false),
            ("00000000-0000-0000-0000-000000000000", false),
        ] {
            let seen = Seen::new(
                &ids,
                &headers(&[("x-request-id", sent)]),
                String::new(),
                None,
                &[],
            );
            assert_eq!(seen.id.to_string() == sent, kept, "{sent}");
        }
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let [peer, proxy, client, forged]: [IpAddr; 4] =
            ["10.0.0.9", "10.0.0.1", "203.0.113.7", "1.1.1.1"].map(|text| text.parse().unwrap());
        let sent = headers(&[("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.1")]);
        assert_eq!(client_address(&sent, Some(peer), &[proxy]), Some(peer));
        assert_eq!(client_address(&sent, Some(proxy), &[proxy]), Some(client));
        assert_eq!(
            client_address(&sent, Some(proxy), &[proxy, client]),
            Some(forged)
        );
        let garbage = headers(&[("x-forwarded-for", "unknown")]);
        assert_eq!(client_address(&garbage, Some(proxy), &[proxy]), Some(proxy));
    }

    #[test]
    fn another_host_or_a_proxy_makes_a_request_not_local() {
        let ids = Ids::new(kernel::Clock::system(), kernel::Random::system());
        let home = Some("127.0.0.1".parse().unwrap());
        let local = |sent: HeaderMap| Seen::new(&ids, &sent, String::new(), home, &[]).is_local;
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(local(headers(&[("host", host)])), "{host}");
        }
        // A name that somebody lets point here (DNS rebinding).
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "10.0.0.1",
        ] {
            assert!(!local(headers(&[("host", host)])), "{host}");
        }
        assert!(!local(HeaderMap::new()), "it names nothing");
        for header in ["x-real-ip", "via", "x-forwarded-host", "forwarded"] {
            let sent = headers(&[("host", "localhost"), (header, "x")]);
            assert!(!local(sent), "{header}");
        }
    }

    #[test]
    fn a_public_address_elsewhere_takes_the_server_away_from_home() {
        for home in [
            "",
            "http://localhost:8080",
            "https://127.0.0.1/",
            "http://[::1]:8080",
            "localhost:8080",
        ] {
            assert!(stays_at_home(home), "{home}");
        }
        for public in [
            "https://chat.example.org",
            "http://10.0.0.1:8080",
            "https://localhost.example.org",
            "//",
            "no address",
        ] {
            assert!(!stays_at_home(public), "{public}");
        }
    }

    #[test]
    fn a_forwarding_header_makes_a_request_not_local() {
        let ids = Ids::new(kernel::Clock::system(), kernel::Random::system());
        let home = Some("::ffff:127.0.0.1".parse().unwrap());
        let plain = headers(&[("host", "127.0.0.1")]);
        assert!(Seen::new(&ids, &plain, String::new(), home, &[]).is_local);
        let sent = headers(&[("host", "127.0.0.1"), ("x-forwarded-for", "127.0.0.1")]);
        assert!(!Seen::new(&ids, &sent, String::new(), home, &[]).is_local);
    }
}
