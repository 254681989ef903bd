//! The hash-chained record of decisions: encoder, writer with group commit, independent verifier.
