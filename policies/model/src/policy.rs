//! Policy documents: what users write (raw, strict), and what the engine judges by (ready, merged, with a digest).

pub mod admission;
pub mod agent;
pub mod agent_raw;
pub mod compile;
pub mod grants;
pub mod inject;
pub mod literals;
mod load;
mod place;
pub mod provenance;
pub mod raw;
pub mod rbac;
mod ready_admission;
mod ready_agent;
pub mod references;
pub mod roots;
pub mod schema;
pub mod switches;
pub mod test_case;
pub mod values;

pub use load::{PolicySet, load};
