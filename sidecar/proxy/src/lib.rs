//! The sidecar's accept, resolve once and pin, forward, limits.
