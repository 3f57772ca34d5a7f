//! The integration tests of the platform live in `tests/`, by URL or journey.
//! This library is empty: the package has nothing but tests.
