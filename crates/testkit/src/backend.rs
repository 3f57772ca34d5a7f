//! The two databases every integration test runs on, and the macro that makes
//! one test of each. Not here: what a test does with its database.

use std::future::Future;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The embedded one.
    Sqlite,
    /// The server named by `TERTULIA_TEST_POSTGRES_URL`.
    Postgres,
}

/// The variable that names the PostgreSQL server of the tests (see `scripts/test-services`).
pub const POSTGRES_URL: &str = "TERTULIA_TEST_POSTGRES_URL";

impl Backend {
    /// Whether it can be used. Where PostgreSQL is missing the test is skipped,
    /// loudly; where it is required, the test fails.
    ///
    /// # Panics
    /// When PostgreSQL is missing and `CI` or `TERTULIA_TEST_REQUIRE_POSTGRES` is set.
    #[must_use]
    pub fn is_here(self) -> bool {
        if self == Self::Sqlite || std::env::var_os(POSTGRES_URL).is_some() {
            return true;
        }
        let required = ["CI", "TERTULIA_TEST_REQUIRE_POSTGRES"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        assert!(
            !required,
            "{POSTGRES_URL} is not set, so the tests on PostgreSQL cannot run; use \
             `scripts/test-services run -- ...` (`make test` does)"
        );
        eprintln!(
            "\n*** SKIPPED: not tested on PostgreSQL, because {POSTGRES_URL} is not set; use \
             `scripts/test-services run -- ...` ***\n"
        );
        false
    }
}

/// Runs a test's body on one database, within a runtime of its own.
///
/// # Panics
/// When the body does, or PostgreSQL is required and missing.
pub fn run_on<F, Fut>(backend: Backend, body: F)
where
    F: FnOnce(Backend) -> Fut,
    Fut: Future<Output = ()>,
{
    if backend.is_here() {
        run(body(backend));
    }
}

/// Runs a future within a runtime of its own.
///
/// # Panics
/// When the future does.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Makes two tests of each body, `name::sqlite` and `name::postgres`:
///
/// ```ignore
/// testkit::on_both! {
///     /// What it shows.
///     async fn a_name(backend) {
///         let server = testkit::TestServer::start(backend, |_| {}).await;
///     }
/// }
/// ```
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($backend:ident) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body($backend: $crate::Backend) $body

            #[test]
            fn sqlite() {
                $crate::run_on($crate::Backend::Sqlite, body);
            }

            #[test]
            fn postgres() {
                $crate::run_on($crate::Backend::Postgres, body);
            }
        }
    )*};
}
