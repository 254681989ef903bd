//! Cases of resolving.
