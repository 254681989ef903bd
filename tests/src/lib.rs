//! Across crates: a real API server, attack suites, differential tests, fixtures, benches.
