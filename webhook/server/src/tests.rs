//! The server as a whole: real TLS, real HTTP, files instead of a cluster.

mod bench;
mod lifecycle;
mod policy;
mod refusals;
mod wire;
