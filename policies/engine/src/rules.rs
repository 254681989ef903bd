//! The rules of the webhook, one file a family; each file name is the family's prefix. The cases of a rule stand beside it.

pub mod custom;
pub mod pf_org;
pub mod pf_pod;
pub mod pf_rbac;
pub mod pf_run;
pub mod pf_sec;
pub mod pf_tru;
