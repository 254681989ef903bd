//! Agent resources: their definitions, the watches that come and go with them, what exists, and the dispatch of a stack.

mod definitions;
mod dispatch;
mod existence;
mod resources;
