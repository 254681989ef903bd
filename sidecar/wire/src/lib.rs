//! Bytes of the agent and of its upstreams, read strictly into facts: HTTP/1.1 heads and bodies, authorities and paths, the
//! TLS ClientHello, SOCKS5, server-sent events and MCP messages; and the encoders for what is passed on.
//!
//! What could be read in two ways is refused here, because two parsers that disagree are the main way around a gate.
//! Nothing here opens a socket, reads a clock, logs or decides.

pub mod authority;
pub mod body;
pub mod client_hello;
pub mod dns;
pub mod encode;
pub mod field;
pub mod head;
pub mod http2;
pub mod mcp;
pub mod path;
pub mod second_hello;
pub mod socks;
pub mod sse;
pub mod websocket;
