//! What an account may do only so often at once: each stream or file that is being
//! sent has a place until its end. Each node counts for itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http_body_util::BodyExt;
use kernel::{AccountId, Error, Result, codes};

/// What a place is for; each has a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    /// An answer is followed.
    Answer,
    /// An open page waits for changes.
    Page,
    /// A file is made of what somebody has.
    Export,
    /// A list that is more than is sent at once.
    List,
}

impl Use {
    const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Page => "page",
            Self::Export => "export",
            Self::List => "list",
        }
    }

    fn refused(self, limit: usize) -> String {
        match self {
            Self::Answer => {
                format!("You have {limit} streams open already; close one of them first.")
            }
            Self::Page => format!("You have {limit} pages open already; close one of them first."),
            Self::Export => {
                format!("You have {limit} exports under way already; wait for the end of one.")
            }
            Self::List => {
                format!("You are reading {limit} long lists already; wait for the end of one.")
            }
        }
    }
}

/// The places that are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<(AccountId, Use), usize>>>);

/// One place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Places, (AccountId, Use));

impl Places {
    /// Takes one more place.
    ///
    /// # Errors
    /// `rate_limited` when the account has so many already.
    pub(crate) fn take(&self, account: AccountId, what: Use, limit: usize) -> Result<Place> {
        let key = (account, what);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= limit {
            return Err(Error::new(codes::RATE_LIMITED, what.refused(limit))
                .retry_after(Duration::from_secs(1)));
        }
        *count += 1;
        metrics::gauge!("http_streams_open", "use" => what.name()).increment(1.0);
        Ok(Place(self.clone(), key))
    }
}

impl Place {
    /// The body, which has the place until it is sent or given up.
    pub(crate) fn held_by(self, body: Body) -> Body {
        Body::new(body.map_frame(move |frame| {
            let _held = &self;
            frame
        }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.1);
            }
        }
        metrics::gauge!("http_streams_open", "use" => self.1.1.name()).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u128) -> AccountId {
        AccountId::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn places_are_counted_by_account_and_use_and_come_back() {
        let places = Places::default();
        let take = |n, what| places.take(account(n), what, 2);
        let first = take(1, Use::Answer).unwrap();
        let _second = take(1, Use::Answer).unwrap();
        let refused = take(1, Use::Answer).unwrap_err();
        assert!(refused.is(codes::RATE_LIMITED));
        let _other = take(2, Use::Answer).unwrap();
        let (_page, _export) = (take(1, Use::Page).unwrap(), take(1, Use::Export).unwrap());
        drop(first);
        let _third = take(1, Use::Answer).unwrap();
        assert_eq!(places.0.lock().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn a_body_has_its_place_until_its_end() {
        let places = Places::default();
        for given_up in [true, false] {
            let place = places.take(account(1), Use::Export, 1).unwrap();
            let body = place.held_by(Body::from("all of it"));
            assert!(places.take(account(1), Use::Export, 1).is_err());
            if given_up {
                drop(body);
            } else {
                assert_eq!(body.collect().await.unwrap().to_bytes(), "all of it");
            }
        }
        places.take(account(1), Use::Export, 1).unwrap();
    }
}
