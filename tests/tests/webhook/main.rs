//! The webhook against a real API server: a child process with the `main` of `pinfold-webhook` (so that it can be stopped and killed),
//! registered by `url` with its own CA and with the rules of `manifests/`, reading the cluster with the rights of `manifests/`.
//!
//! Every test has a stage of its own (namespaces, names, policy, webhook), to which its registration is narrowed; all share one API server.

mod agents;
mod attacks;
mod bad_input;
mod bad_start;
mod cluster;
mod confined;
mod denial;
mod honest;
mod kubernetes;
mod manifests;
mod offline;
mod rbac_attacks;
mod rbac_cases;
mod rbac_client;
mod rbac_object;
mod rbac_races;
mod rbac_sizes;
mod rbac_stage;
mod rbac_system;
mod records;
mod registration;
mod reload;
mod replica;
mod restart;
mod scan;
mod service;
mod stage;
mod staleness;
mod standing;
mod tls_client;
mod trust;
mod watch_gate;

/// What tests and their parts answer with.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
