//! Pinfold's own webhook configurations: the API server calls no webhook for them, so they are watched, compared with what they should be,
//! restored and reported.
//!
//! Only the two configurations named `pinfold` are ever read or written.

mod desired;
mod entry;

pub(crate) use desired::Desired;
