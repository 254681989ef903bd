//! The sidecar over real sockets on loopback: what an agent gets back, what an upstream sees, and what is recorded.
#![cfg(test)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "a panic in a test is a finding, and the texts are this crate's own ASCII"
)]

mod as_written;
mod breakers;
mod budgets;
mod crowds;
mod dns;
mod egress;
mod entrances;
mod floods;
mod https;
mod kill;
mod leaks;
mod learn;
mod lifecycle;
mod limits;
mod mcp;
mod mcp_replies;
mod mcp_sessions;
mod named;
mod names;
mod program;
mod redirected;
mod reload;
mod results;
mod roots;
mod second_hello;
mod socks;
mod stale;
mod support;
mod tunnels;
mod via;
mod websocket;
