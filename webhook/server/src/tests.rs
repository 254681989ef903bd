//! The server as a whole: real TLS, real HTTP, files instead of a cluster.

mod bench;
mod cluster;
pub(crate) mod fake;
mod lifecycle;
mod policy;
mod refusals;
mod wire;
