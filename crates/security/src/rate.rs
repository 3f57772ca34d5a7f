//! Rate limits: how often a caller may ask, by class of request.

use std::net::IpAddr;

use kernel::{Actor, Context, Error, Result, codes};
use state::{Limit, Rate};

use crate::Security;

/// Which limit a request counts against (`[security.rate_limit]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateClass {
    /// Makes a model work, or the server as hard.
    Chat,
    /// Everything else.
    Reads,
    /// Registration, login, refresh, and what else tells of accounts: by address, whoever asks.
    SignIn,
}

impl Security {
    /// Counts a request; the answer has what the `X-RateLimit-*` headers say. What is refused is
    /// answered with [`Self::rate_limited`].
    pub async fn rate(&self, ctx: &Context, class: RateClass) -> Rate {
        let limits = &self.0.options.rate_limit;
        let (name, limit): (_, &Limit) = match class {
            RateClass::Chat => ("chat", &limits.chat),
            RateClass::Reads => ("reads", &limits.reads),
            RateClass::SignIn => ("sign_in", &limits.sign_in),
        };
        let key = match (class, ctx.actor()) {
            (RateClass::Chat | RateClass::Reads, Actor::Account { id, .. }) => {
                format!("rate:{name}:{}:account:{id}", ctx.tenant())
            }
            (RateClass::Chat | RateClass::Reads, Actor::Service { name: service }) => {
                format!("rate:{name}:{}:service:{service}", ctx.tenant())
            }
            _ => format!("rate:{name}:address:{}", network(ctx.address())),
        };
        self.0.state.hit(&key, limit).await
    }

    /// [`Self::rate`], as a result.
    ///
    /// # Errors
    /// `rate_limited`, with when to try again.
    pub async fn check_rate(&self, ctx: &Context, class: RateClass) -> Result<Rate> {
        let rate = self.rate(ctx, class).await;
        if rate.allowed {
            Ok(rate)
        } else {
            Err(Self::rate_limited(&rate))
        }
    }

    /// What a refused request is answered.
    #[must_use]
    pub fn rate_limited(rate: &Rate) -> Error {
        Error::new(
            codes::RATE_LIMITED,
            "Too many requests; please wait a moment before the next one.",
        )
        .retry_after(rate.retry_after.unwrap_or(rate.reset))
    }
}

/// The address that counts as one client: of IPv6 the /64, which one subscriber has all of.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(v4)) => v4.to_string(),
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_one_network() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
