//! Tool decisions.
