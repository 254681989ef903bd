//! Where a check that comes after reading finds its place again: file, tree and field path together.

use crate::document::{DocumentError, Node, Step};

/// A field of a document, for errors of checks that look at more than one field.
#[derive(Clone)]
pub(super) struct Place<'d> {
    file: &'d str,
    root: &'d Node,
    steps: Vec<Step>,
}

impl<'d> Place<'d> {
    pub(super) fn root(file: &'d str, root: &'d Node) -> Self {
        Self { file, root, steps: Vec::new() }
    }

    pub(super) fn field(&self, name: &str) -> Self {
        let mut place = self.clone();
        place.steps.push(Step::Member(name.to_owned()));
        place
    }

    pub(super) fn item(&self, index: usize) -> Self {
        let mut place = self.clone();
        place.steps.push(Step::Item(index));
        place
    }

    pub(super) fn error(&self, message: impl Into<String>) -> DocumentError {
        self.root.error(self.file, &self.steps, message)
    }

    /// The field path: `spec.egress.allow[0]`.
    pub(super) fn path(&self) -> String {
        crate::document::show_path(&self.steps)
    }
}
