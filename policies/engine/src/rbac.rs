//! RBAC semantics of the API server.
