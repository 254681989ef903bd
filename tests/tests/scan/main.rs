//! `pinfold scan` of a real API server: nothing is found in what Kubernetes itself puts there, exactly what is bad in what is put there then, and
//! what could not be looked at is said.
//!
//! The webhook's own verdict on the same objects is compared in `tests/webhook/scan.rs`.

mod command;
mod filling;
mod reports;
mod rights;

/// What tests and their parts answer with.
type Answer<T = ()> = Result<T, Box<dyn std::error::Error>>;
