//! Agents' pods on a real API server: made with guard and sidecar, and their policy kept up to date.

mod apart;
mod injection;
mod mesh;
mod own_writes;
mod policy_push;
mod reinvocation;
