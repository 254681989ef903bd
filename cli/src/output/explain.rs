//! What `pinfold explain` prints: one shape, as JSON, as a table and as a picture.

pub(crate) mod dot;
pub(crate) mod native;
pub(crate) mod shape;
pub(crate) mod table;
