//! What integration tests stand on: the real server as a process, a client for
//! its API, looks into its database, and fakes for outside systems only. A
//! dev-dependency everywhere; no fake of a part of the platform lives here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "test support: a panic is how a test fails, and the time is the real one"
)]

mod backend;
mod client;
mod database;
mod full;
mod postgres;
mod process;
mod program;
mod reply;
mod server;
mod setup;
mod sse;
pub mod upstream;

pub use backend::{Backend, POSTGRES_URL, postgres_server, run, run_on};
pub use client::{Client, User};
pub use database::Database;
pub use full::FullPort;
pub use postgres::PostgresDatabase;
pub use program::{binary, output_of, output_with, tertulia};
pub use reply::{Reply, micros, scan_for_leaks};
pub use server::{Started, TestServer};
pub use setup::{Fault, Setup};
pub use sse::{Event, EventStream, Transcript};
