//! The pinfold command.
