//! The boundary gate as a whole: the cases of `tests/boundary` and the manifests of `tests/charts`, judged by `pinfold test`, by `pinfold check`, and by a
//! real API server that asks a webhook process, registered with the whole of `manifests/base`. All must say the same.

mod cases;
mod charts;
mod cost;
mod gate;
mod kubernetes;
mod live;
mod object;
mod offline;
mod page;
mod parity;
mod resources;

#[path = "../webhook/denial.rs"]
mod denial;
#[path = "../webhook/rbac_client.rs"]
mod rbac_client;
#[expect(dead_code, reason = "the tests of the webhook use more of it")]
#[path = "../webhook/replica.rs"]
mod replica;

/// What tests and their parts answer with.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
