//! PF-RBAC-001, 002 and 003 against a real kube-apiserver: the same requests put to both, and no difference but the listed ones.
//!
//! `PINFOLD_SEED` and `PINFOLD_CASES` say which cases and how many; docs/testing.md says what is compared.

mod access;
mod compare;
mod connection;
mod counts;
mod edits;
mod engine;
mod kinds;
mod random;
mod recorder;
mod requests;
mod rules;
mod run;
mod server;
mod settle;
mod shrink;
#[cfg(test)]
mod tests;
mod world;

/// What parts of the test answer with.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
