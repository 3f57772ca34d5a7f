//! A bounded cache with a time of expiry, and invalidation that a slow reader
//! cannot undo.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use kernel::Timestamp;

pub(crate) struct Cache<K, V> {
    capacity: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
    generation: u64,
}

/// When a value was looked up at its source; see [`Cache::put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::new(Inner {
                entries: HashMap::new(),
                generation: 0,
            }),
        }
    }

    pub(crate) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .entries
            .get(key)
            .filter(|(until, _)| *until > now)
            .map(|(_, value)| value.clone())
    }

    /// To be taken before the value is looked up at its source.
    pub(crate) fn generation(&self) -> Generation {
        Generation(
            self.inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .generation,
        )
    }

    /// Keeps the value until then; not if something was forgotten since it was looked up, because it
    /// may be what was to be forgotten.
    pub(crate) fn put(&self, key: K, value: V, until: Timestamp, now: Timestamp, seen: Generation) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.generation != seen.0 {
            return;
        }
        if inner.entries.len() >= self.capacity {
            inner.entries.retain(|_, (until, _)| *until > now);
            if inner.entries.len() >= self.capacity {
                inner.entries.clear();
            }
        }
        inner.entries.insert(key, (until, value));
    }

    /// Forgets what matches, for good.
    pub(crate) fn forget(&self, matches: impl Fn(&K, &V) -> bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.generation += 1;
        inner.entries.retain(|key, (_, value)| !matches(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn entries_expire_and_are_bounded() {
        let cache = Cache::new(10);
        for n in 0..100 {
            cache.put(n, n, at(n + 5), at(n), cache.generation());
            assert_eq!(cache.get(&n, at(n + 4)), Some(n));
            assert_eq!(cache.get(&n, at(n + 5)), None);
            assert!(cache.inner.lock().unwrap().entries.len() <= 10);
        }
    }

    #[test]
    fn what_was_looked_up_before_something_was_forgotten_is_not_kept() {
        let cache = Cache::new(10);
        let seen = cache.generation();
        cache.forget(|key, _| *key == 1);
        cache.put(1, "stale", at(10), at(0), seen);
        assert_eq!(cache.get(&1, at(0)), None);
        cache.put(1, "fresh", at(10), at(0), cache.generation());
        assert_eq!(cache.get(&1, at(0)), Some("fresh"));
    }
}
