//! Fault points: named places at which a test lets the process die or an
//! operation fail. Compiled away without debug assertions.
//!
//! `TERTULIA_FAULT=name=abort@3` kills the process the third time `name` is
//! reached, as `kill -9` would: no destructor runs, nothing is flushed.

/// Every fault point of the platform. The kill tests walk this list.
pub const POINTS: &[&str] = &[
    "store.commit.before",
    "store.commit.after",
    "chat.send.committed",
    "runs.execute.started",
    "runs.append.before",
    "runs.append.after",
    "runs.finish.before",
    "runs.finish.inside",
    "runs.finish.after",
    "accounting.hold.inside",
    "accounting.extend.inside",
    "accounting.settle.inside",
    "runs.recover.taken",
];

/// Dies here if the environment asks for it.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::check(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    struct Fault {
        name: String,
        left: AtomicU64,
    }

    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

    fn read() -> Option<Fault> {
        let text = std::env::var("TERTULIA_FAULT").ok()?;
        let (name, rest) = text.split_once('=')?;
        let count = rest.strip_prefix("abort")?.strip_prefix('@').unwrap_or("1");
        Some(Fault {
            name: name.to_owned(),
            left: AtomicU64::new(count.parse().ok()?),
        })
    }

    pub(super) fn check(name: &str) {
        debug_assert!(super::POINTS.contains(&name), "unknown fault point {name}");
        if let Some(fault) = FAULT.get_or_init(read)
            && fault.name == name
            && fault.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }
}
