//! The pod's firewall: nftables rules and policy routes by which nothing but the sidecar's UID gets out, as one description that is
//! printed ([`Plan::text`]) or loaded over netlink ([`Plan::load`]); and the question whether the routes hold ([`routes_hold`]).
//!
//! What the rules do is in `rules`, why they are as they are too. It must never leave a pod half open: rules come whole or not at
//! all, and a kernel that can't do one of them is an error that says which.

mod encode;
mod error;
mod netlink;
mod plan;
mod routes;
mod rules;
mod ruleset;
mod text;

pub use error::GuardError;
pub use plan::{PROBE_V4, PROBE_V6, Plan, RouteMode};
pub use routes::{Leak, routes_hold};
