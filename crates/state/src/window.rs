//! Sliding windows (S3, "Sliding Window Rate Limiting"): for each key the
//! moments of the requests that count. Exact, and bounded by the limit itself;
//! keys nobody uses any more are swept.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kernel::Clock;
use serde::{Deserialize, Serialize};

/// So that requests of different keys seldom wait for each other.
const SHARDS: usize = 16;
/// Keys of one shard before it is swept for the first time.
const SWEEP_AT: usize = 256;
/// Keys of one shard at most: beyond, those idle the longest are forgotten, so
/// that a flood of invented keys cannot take the memory.
const KEYS: usize = 65_536;

/// How many requests within how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Requests at most within any one window; 0 refuses all.
    pub requests: u32,
    /// The window's length, like `"60s"`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub window: Duration,
}

/// Where a key stands against its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Requests at most within the window.
    pub limit: u32,
    /// Requests that are still free now.
    pub remaining: u32,
    /// Until the oldest counted request leaves the window; zero when none is counted.
    pub reset: Duration,
    /// Until the next request can be allowed; only when this one is refused.
    pub retry_after: Option<Duration>,
}

#[derive(Default)]
struct Shard {
    keys: HashMap<Box<str>, Window>,
    /// The number of keys at which the shard is swept next.
    sweep_at: usize,
}

struct Window {
    /// Microseconds since the epoch, in ascending order.
    hits: VecDeque<i64>,
    /// The window's length in microseconds.
    length: i64,
}

pub(crate) struct Windows {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Windows {
    fn shard(&self, key: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(key);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }

    pub(crate) fn forget(&self, key: &str) {
        let mut shard = self
            .shard(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shard.keys.remove(key);
    }

    pub(crate) fn count(&self, clock: &Clock, key: &str, limit: &Limit, add: bool) -> Rate {
        let length = i64::try_from(limit.window.as_micros()).unwrap_or(i64::MAX);
        let mut shard = self
            .shard(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that the moments of a key ascend.
        let now = clock.now().as_microsecond();
        if let Some(window) = shard.keys.get_mut(key) {
            window.length = length;
            window.slide(now);
            let room = window.hits.len() < limit.requests as usize;
            if add && room {
                window.hits.push_back(now);
            }
            return window.rate(now, limit, room);
        }
        let mut window = Window {
            hits: VecDeque::new(),
            length,
        };
        let room = limit.requests > 0;
        if add && room {
            window.hits.push_back(now);
        }
        let rate = window.rate(now, limit, room);
        if !window.hits.is_empty() {
            shard.sweep_if_due(now);
            shard.keys.insert(key.into(), window);
        }
        rate
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap().keys.len())
            .sum()
    }
}

impl Window {
    /// Removes what is older than the window.
    fn slide(&mut self, now: i64) {
        let start = now.saturating_sub(self.length);
        while self.hits.front().is_some_and(|hit| *hit <= start) {
            self.hits.pop_front();
        }
        // The clock was set back: nothing may count for longer than a window.
        for hit in self.hits.iter_mut().rev().take_while(|hit| **hit > now) {
            *hit = now;
        }
    }

    fn rate(&self, now: i64, limit: &Limit, allowed: bool) -> Rate {
        let until_free = |hit: i64| {
            let left = hit.saturating_add(self.length).saturating_sub(now);
            Duration::from_micros(u64::try_from(left).unwrap_or(0))
        };
        let requests = limit.requests as usize;
        let retry_after = (!allowed).then(|| {
            // More may be counted than is allowed now (the limit was lowered).
            let last_in_the_way = self.hits.len().checked_sub(requests.max(1));
            last_in_the_way
                .and_then(|n| self.hits.get(n))
                .map_or(limit.window, |hit| until_free(*hit))
        });
        Rate {
            allowed,
            limit: limit.requests,
            remaining: u32::try_from(requests.saturating_sub(self.hits.len())).unwrap_or(0),
            reset: self
                .hits
                .front()
                .map_or(Duration::ZERO, |hit| until_free(*hit)),
            retry_after,
        }
    }
}

impl Shard {
    /// Sweeps whenever the keys have doubled since the last time: a constant
    /// share of each insertion, and never more than twice the keys in use.
    fn sweep_if_due(&mut self, now: i64) {
        if self.keys.len() < self.sweep_at.clamp(SWEEP_AT, KEYS) {
            return;
        }
        let last = |window: &Window| window.hits.back().copied().unwrap_or(i64::MIN);
        self.keys
            .retain(|_, window| last(window) > now.saturating_sub(window.length));
        if self.keys.len() >= KEYS {
            let mut moments: Vec<i64> = self.keys.values().map(last).collect();
            let (_, &mut middle, _) = moments.select_nth_unstable(KEYS / 2);
            self.keys.retain(|_, window| last(window) > middle);
            tracing::warn!("more keys are rate limited than fit; the longest idle are forgotten");
        }
        self.keys.shrink_to(self.keys.len() * 2);
        self.sweep_at = self.keys.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Limit = Limit {
        requests: 3,
        window: Duration::from_secs(60),
    };

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_second(1_000_000).unwrap())
    }

    #[test]
    fn the_window_slides_and_refusals_are_not_added() {
        let (clock, windows) = (clock(), Windows::default());
        for remaining in [2, 1, 0] {
            let rate = windows.count(&clock, "k", &LIMIT, true);
            assert_eq!((rate.allowed, rate.remaining), (true, remaining));
            clock.advance(Duration::from_secs(10));
        }
        for _ in 0..100 {
            let rate = windows.count(&clock, "k", &LIMIT, true);
            assert!(!rate.allowed);
            assert_eq!(rate.retry_after, Some(Duration::from_secs(30)));
        }
        clock.advance(rate_minus(30));
        assert!(!windows.count(&clock, "k", &LIMIT, true).allowed);
        clock.advance(Duration::from_micros(1));
        assert!(windows.count(&clock, "k", &LIMIT, true).allowed);
        assert!(!windows.count(&clock, "k", &LIMIT, true).allowed);
        assert!(windows.count(&clock, "other", &LIMIT, true).allowed);
    }

    fn rate_minus(seconds: u64) -> Duration {
        Duration::from_secs(seconds) - Duration::from_micros(1)
    }

    #[test]
    fn peeking_counts_nothing_and_forgetting_frees() {
        let (clock, windows) = (clock(), Windows::default());
        for _ in 0..10 {
            assert!(windows.count(&clock, "k", &LIMIT, false).allowed);
        }
        assert_eq!(windows.keys(), 0);
        for _ in 0..3 {
            windows.count(&clock, "k", &LIMIT, true);
        }
        let peeked = windows.count(&clock, "k", &LIMIT, false);
        assert!(!peeked.allowed && peeked.retry_after == Some(LIMIT.window));
        windows.forget("k");
        assert_eq!(windows.count(&clock, "k", &LIMIT, true).remaining, 2);
    }

    #[test]
    fn a_limit_of_zero_refuses_and_a_lowered_one_waits_long_enough() {
        let (clock, windows) = (clock(), Windows::default());
        let none = Limit {
            requests: 0,
            ..LIMIT
        };
        let rate = windows.count(&clock, "k", &none, true);
        assert!(!rate.allowed && rate.retry_after == Some(LIMIT.window));
        for _ in 0..3 {
            windows.count(&clock, "k", &LIMIT, true);
            clock.advance(Duration::from_secs(10));
        }
        let one = Limit {
            requests: 1,
            ..LIMIT
        };
        let rate = windows.count(&clock, "k", &one, true);
        assert_eq!(rate.retry_after, Some(Duration::from_secs(50)));
    }

    #[test]
    fn a_clock_set_back_blocks_nobody_for_longer_than_a_window() {
        let (clock, windows) = (clock(), Windows::default());
        for _ in 0..3 {
            windows.count(&clock, "k", &LIMIT, true);
        }
        clock.set(Timestamp::from_second(10).unwrap());
        let rate = windows.count(&clock, "k", &LIMIT, true);
        assert_eq!(rate.retry_after, Some(LIMIT.window));
        clock.advance(LIMIT.window);
        assert!(windows.count(&clock, "k", &LIMIT, true).allowed);
    }

    #[test]
    fn idle_keys_are_swept_and_a_flood_of_keys_is_bounded() {
        let (clock, windows) = (clock(), Windows::default());
        for n in 0..200_000 {
            windows.count(&clock, &format!("k{n}"), &LIMIT, true);
            clock.advance(Duration::from_secs(1));
        }
        assert!(
            windows.keys() < SHARDS * SWEEP_AT * 2,
            "{} keys left",
            windows.keys()
        );
        let hour = Limit {
            requests: 1,
            window: Duration::from_secs(36_000),
        };
        for n in 0..SHARDS * KEYS * 5 / 4 {
            windows.count(&clock, &format!("f{n}"), &hour, true);
            clock.advance(Duration::from_micros(1));
        }
        assert!(windows.keys() <= SHARDS * KEYS);
    }

    #[test]
    fn limits_read_as_text() {
        let json = r#"{"requests": 60, "window": "1m 30s"}"#;
        let limit: Limit = serde_json::from_str(json).unwrap();
        assert_eq!(
            limit,
            Limit {
                requests: 60,
                window: Duration::from_secs(90)
            }
        );
        assert!(serde_json::from_str::<Limit>(r#"{"requests": -1, "window": "1m"}"#).is_err());
        assert!(serde_json::from_str::<Limit>(r#"{"requests": 1, "window": "soon"}"#).is_err());
    }

    proptest! {
        /// Against the definition: a request is allowed exactly when fewer than
        /// `requests` allowed ones lie within the window before it.
        #[test]
        fn as_the_definition_says(
            requests in 0_u32..6,
            steps in prop::collection::vec((0_u64..40, any::<bool>()), 1..200),
        ) {
            let (clock, windows) = (clock(), Windows::default());
            let limit = Limit { requests, window: Duration::from_secs(60) };
            let mut allowed: Vec<i64> = Vec::new();
            for (wait, add) in steps {
                clock.advance(Duration::from_secs(wait));
                let now = clock.now().as_second();
                let inside = allowed.iter().filter(|hit| **hit > now - 60).count();
                let rate = windows.count(&clock, "k", &limit, add);
                prop_assert_eq!(rate.allowed, inside < requests as usize);
                if rate.allowed && add {
                    allowed.push(now);
                }
                let inside = allowed.iter().filter(|hit| **hit > now - 60).count();
                prop_assert_eq!(rate.remaining as usize, requests as usize - inside);
                if requests > 0 && let Some(wait) = rate.retry_after {
                    let free = now + i64::try_from(wait.as_secs()).unwrap();
                    let before = allowed.iter().filter(|hit| **hit > free - 61).count();
                    let then = allowed.iter().filter(|hit| **hit > free - 60).count();
                    prop_assert!(then < requests as usize && before >= requests as usize);
                }
            }
        }
    }
}
