//! Cases of coverage: the corner table of the API server's semantics, and random rules beside the literal definition.

mod properties;
mod tables;
