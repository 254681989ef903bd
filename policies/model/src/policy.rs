//! Policy documents: what users write (raw, strict), and what the engine judges by (ready, merged, with a digest).

pub mod admission;
pub mod agent;
pub mod agent_raw;
mod load;
pub mod raw;
pub mod test_case;
pub mod values;

pub use load::{PolicySet, load};
