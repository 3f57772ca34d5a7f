//! What an operator may set about sign-in, tokens and limits (`[security]`).

use std::time::Duration;

use kernel::duration;
use serde::{Deserialize, Serialize};
use state::Limit;

/// The section `[security]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How long an access token is good for, like `"15m"`.
    #[serde(with = "duration")]
    pub access_ttl: Duration,
    /// How long a device may stay away before it has to sign in again, like `"30d"`.
    #[serde(with = "duration")]
    pub refresh_ttl: Duration,
    /// How long a refresh token that was just used may be sent again (a client that lost the answer,
    /// two tabs at once), as long as its successor is unused, like `"10s"`.
    #[serde(with = "duration")]
    pub refresh_grace: Duration,
    /// The issuer written into access tokens and demanded of them.
    pub issuer: String,
    /// The audience written into access tokens and demanded of them.
    pub audience: String,
    /// Failed attempts to sign in to one account.
    pub lockout: Lockout,
    /// Requests by class.
    pub rate_limit: RateLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access_ttl: Duration::from_secs(15 * 60),
            refresh_ttl: Duration::from_secs(30 * 24 * 3600),
            refresh_grace: Duration::from_secs(10),
            issuer: "tertulia".to_owned(),
            audience: "tertulia".to_owned(),
            lockout: Lockout::default(),
            rate_limit: RateLimits::default(),
        }
    }
}

/// The section `[security.lockout]`: after so many failures within the window, attempts are refused
/// until the oldest failure has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lockout {
    /// Failed attempts at most.
    pub attempts: u32,
    /// Within how long, like `"15m"`.
    #[serde(with = "duration")]
    pub window: Duration,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            attempts: 10,
            window: Duration::from_secs(15 * 60),
        }
    }
}

impl Lockout {
    pub(crate) fn limit(&self) -> Limit {
        Limit {
            requests: self.attempts,
            window: self.window,
        }
    }
}

/// The section `[security.rate_limit]`: requests of each class in a sliding window, by account or
/// service, by address for guests and for sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Requests that make a model work, or the server as hard.
    pub chat: Limit,
    /// Everything else.
    pub reads: Limit,
    /// Registration, login and refresh, passwords and user names.
    pub sign_in: Limit,
}

impl Default for RateLimits {
    fn default() -> Self {
        let a_minute = |requests| Limit {
            requests,
            window: Duration::from_secs(60),
        };
        Self {
            chat: a_minute(60),
            reads: a_minute(600),
            sign_in: a_minute(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_and_write_as_text() {
        let options: Options = serde_json::from_str(
            r#"{"access_ttl": "5m", "refresh_ttl": "30d", "lockout": {"attempts": 3, "window": "1h 30m"},
                "rate_limit": {"chat": {"requests": 1, "window": "2s"}}}"#,
        )
        .unwrap();
        assert_eq!(options.access_ttl, Duration::from_secs(300));
        assert_eq!(options.refresh_ttl, Options::default().refresh_ttl);
        assert_eq!(options.lockout.window, Duration::from_secs(5400));
        assert_eq!(options.rate_limit.reads.requests, 600);
        let text = serde_json::to_string(&options).unwrap();
        assert!(text.contains(r#""refresh_ttl":"30d""#), "{text}");
        assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
        for wrong in [
            r#"{"access_ttl": "soon"}"#,
            r#"{"access_ttl": "-5m"}"#,
            r#"{"acces_ttl": "5m"}"#,
        ] {
            assert!(serde_json::from_str::<Options>(wrong).is_err(), "{wrong}");
        }
    }
}
