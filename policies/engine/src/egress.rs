//! Egress decisions.
