//! AdmissionReview bytes to facts, and decisions back to bytes. No I/O, no decision.
//!
//! `parse` reads `admission.k8s.io/v1` reviews strictly: what could be read in two ways is refused, and the uid is found before
//! anything that can fail, so that a refusal reaches the right request. [`respond`] writes answers. Nothing here may repair input,
//! follow an address that stands in an object, or keep what an object says of secret values.

mod envelope;
mod error;
mod message;
pub mod respond;
mod review;
mod subject;

pub use error::{Fault, ReviewError};
pub use message::{MESSAGE_BYTES_MAX, explain, first_bytes};
pub use review::{Review, parse};
