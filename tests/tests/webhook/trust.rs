//! Trust and placement: what untrusted work may not run on, what moves it elsewhere, and what other runners' objects say.

mod force;
mod placement;
mod provenance;
