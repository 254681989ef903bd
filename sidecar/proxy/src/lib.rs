//! The gate out of the pod: an explicit proxy that judges before it dials, and a gateway that judges tool calls and keeps credentials.
//!
//! Decisions are made in `pinfold-engine`, bytes are read in `pinfold-wire`; what is here accepts, resolves, dials, forwards and records.
//! Nothing is passed on without a permit of the engine and, where the audit ledger is on, a durable record.

mod admin;
mod answer;
mod bindings;
mod breakers;
mod budget;
mod bursts;
mod client;
pub mod config;
mod connect;
mod credential;
mod dial;
mod dns;
mod drain;
mod errand;
mod error;
mod exchange;
mod forward;
mod gate;
mod gateway;
mod guard;
mod http_upstream;
mod kill;
mod known;
mod learn;
mod listen;
mod log;
mod mcp_forward;
mod mcp_gate;
mod mcp_reply;
mod mcp_stream;
mod metrics;
mod named;
mod out_body;
mod passage;
mod peek;
mod places;
mod policy_watch;
mod program;
mod proxy;
mod quota;
mod record;
mod relay;
mod resolve;
mod results;
mod schemas;
mod sealed;
mod server;
mod sessions;
mod socks;
mod terminate;
mod transparent;
mod tunnels;
mod upstream;
mod websocket;

pub use config::{Config, Limits, Original};
pub use error::StartError;
pub use program::main;
pub use server::{Addresses, Running, start};
