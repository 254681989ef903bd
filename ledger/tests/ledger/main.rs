//! The ledger from outside: what is written, what survives, what is found.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "a panic in a test is a finding, and the texts are this crate's own ASCII"
)]

#[cfg(test)]
mod crash;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod writing;
