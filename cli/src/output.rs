//! What commands print: one module a format. The JSON formats are contracts, versioned.

pub(crate) mod explain;
pub(crate) mod github;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod sarif;
pub(crate) mod yaml;

/// Version of the JSON formats.
pub(crate) const JSON_VERSION: u32 = 1;
