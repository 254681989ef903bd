//! The gate out of the pod: an explicit proxy that judges before it dials, and a gateway that judges tool calls and keeps credentials.
//!
//! Decisions are made in `pinfold-engine`, bytes are read in `pinfold-wire`; what is here accepts, resolves, dials, forwards and records.
//! Nothing is passed on without a permit of the engine and, where the audit ledger is on, a durable record.

mod admin;
mod answer;
mod client;
pub mod config;
mod connect;
mod credential;
mod dial;
mod drain;
mod error;
mod exchange;
mod forward;
mod gate;
mod gateway;
mod http_upstream;
mod listen;
mod log;
mod metrics;
mod out_body;
mod policy_watch;
mod program;
mod proxy;
mod record;
mod redact;
mod relay;
mod resolve;
mod server;
mod tunnels;

pub use config::{Config, Limits};
pub use error::StartError;
pub use program::main;
pub use server::{Addresses, Running, start};
