//! Cases of bindings.
