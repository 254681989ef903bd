//! Pure decisions over facts and an immutable snapshot: what may enter the cluster, and what may leave a pod.
//!
//! Functions here cannot fail, they answer: every reason at once, and a permit only if nothing denies. No clock, socket, logging or
//! async inside; "cannot tell" is a denial with its own reason.

pub mod admit;
pub mod agent_workload;
pub(crate) mod approvals;
pub mod context;
pub mod credentials;
pub mod decision;
pub mod dns;
pub(crate) mod edit;
pub mod egress;
pub mod explain;
pub mod grants;
pub mod inject;
pub mod organization;
pub mod rbac;
pub mod review;
pub mod rules;
pub mod scan;
pub mod switches;
pub mod tool;
pub(crate) mod trust;
pub mod vouch;
