//! Organization.
