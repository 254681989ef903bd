//! The webhook's TLS, HTTP, informers, events and shutdown.
