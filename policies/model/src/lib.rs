//! What the rules are about, as plain data: policy documents, the objects of a cluster, the snapshot of
//! all of them, and the facts of one request.
//!
//! Everything enters as bytes, is parsed strictly into a raw struct and then into a ready one; what can't be
//! understood is an error that says where. Nothing here opens a socket, reads a clock, logs or decides.

pub mod crd;
pub mod digest;
pub mod document;
pub mod facts;
pub mod finding;
pub mod host;
pub mod json_error;
pub mod json_path;
pub mod object;
pub mod pattern;
pub mod policy;
pub mod reason;
pub mod snapshot;
pub mod sources;
pub mod strict_json;
