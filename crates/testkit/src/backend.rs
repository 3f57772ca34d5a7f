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

/// The PostgreSQL server of the tests, for a crate's own tests, which go through their databases
/// in a loop: `None` where it is missing and may be.
///
/// # Panics
/// As [`Backend::is_here`].
#[must_use]
pub fn postgres_server() -> Option<String> {
    let here = Backend::Postgres.is_here();
    here.then(|| std::env::var(POSTGRES_URL).expect("the URL is text"))
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Output, Stdio};

    use super::*;

    const ROLE: &str = "TESTKIT_ASKS_FOR_POSTGRES";

    /// This test as another process, which asks for a server that is not there.
    fn asks(variable: &str, value: &str) -> Output {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("backend::tests::without_a_server_tests_are_skipped_or_fail_where_it_is_required")
            .env_remove(POSTGRES_URL)
            .env_remove("CI")
            .env_remove("TERTULIA_TEST_REQUIRE_POSTGRES")
            .env(variable, value)
            .env(ROLE, "yes")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[test]
    fn without_a_server_tests_are_skipped_or_fail_where_it_is_required() {
        if std::env::var_os(ROLE).is_some() {
            assert_eq!(postgres_server(), None);
            return;
        }
        for (variable, value, passes) in [
            ("TERTULIA_TEST_REQUIRE_POSTGRES", "", true),
            ("TERTULIA_TEST_REQUIRE_POSTGRES", "1", false),
            ("CI", "true", false),
        ] {
            let asked = asks(variable, value);
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            assert_eq!(asked.status.success(), passes, "{variable}={value}: {said}");
            let told = if passes { "*** SKIPPED" } else { "cannot run" };
            assert!(said.contains(told), "{variable}={value}: {said}");
        }
    }
}
