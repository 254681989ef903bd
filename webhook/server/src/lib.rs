//! The webhook's TLS, HTTP, informers, events and shutdown. It carries requests to the engine and answers back; it decides nothing.
//!
//! [`start`] runs a webhook in the current runtime; [`main`] is the program. [`cluster`] reads a cluster once, for the CLI.

mod access;
mod admission;
mod answer;
mod audit;
mod body;
pub mod cluster;
mod config;
mod connection;
mod drain;
mod error;
mod events;
mod health;
mod informers;
mod listen;
mod live;
mod log;
mod metrics;
mod policy_push;
mod policy_watch;
mod program;
mod registration;
mod route;
mod self_managed;
mod server;
mod standing;
mod tls;
mod touched;
mod view;

#[cfg(test)]
mod tests;

pub use config::{
    Config, Flags, Limits, LogFormat, RegistrationMode, ServingSource, Switch, ViewSource,
};
pub use error::StartError;
pub use program::main;
pub use server::{Addresses, Running, start};
