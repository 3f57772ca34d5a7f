//! The integration tests: the real program as a process, on both databases, by
//! URL or by journey. One test binary, so that everything is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "tests: a panic is how one fails, and their time and tasks are their own"
)]

mod account;
mod admin;
mod assistants;
mod auth;
mod backup;
mod bad_input;
mod cookies;
mod credits;
mod events;
mod foreign;
mod funds;
mod house;
mod idempotency;
mod invariants;
mod journey;
mod kill;
mod large;
mod load;
mod messages;
mod models;
mod names;
mod ops;
mod outage;
mod page;
mod prices;
mod prompts;
mod restore;
mod roles;
mod row_security;
mod runs;
mod scripts;
mod sessions;
mod share;
mod startup;
mod streams;
mod terminal;
mod titles;
mod tty;
mod upstream_faults;
mod users;
mod world;
