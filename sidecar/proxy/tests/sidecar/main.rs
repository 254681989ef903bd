//! The sidecar over real sockets on loopback: what an agent gets back, what an upstream sees, and what is recorded.

mod egress;
mod lifecycle;
mod mcp;
mod mcp_replies;
mod mcp_sessions;
mod named;
mod names;
mod program;
mod reload;
mod support;
mod tunnels;
