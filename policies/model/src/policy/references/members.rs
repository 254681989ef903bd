//! Every member of a document at any depth, without recursion, because documents may be deep, and without a path for each, because most are passed by.

use serde_json::Value;

use crate::json_path::push_member;

/// A member that was met.
#[derive(Debug)]
pub struct Member<'w, 'v> {
    /// Its name.
    pub name: &'v str,
    /// Its value.
    pub value: &'v Value,
    root: &'w str,
    trail: &'w [Node<'v>],
    above: usize,
}

/// An object or list that is walked, and where it is.
#[derive(Debug)]
struct Node<'v> {
    above: Option<usize>,
    step: Step<'v>,
    value: &'v Value,
}

#[derive(Debug, Clone, Copy)]
enum Step<'v> {
    Root,
    Member(&'v str),
    Item(usize),
}

impl Member<'_, '_> {
    /// Its JSON path.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = self.path_above();
        push_member(&mut path, self.name);
        path
    }

    /// The JSON path of the object that it is in.
    #[must_use]
    pub fn path_above(&self) -> String {
        let mut steps = Vec::new();
        let mut at = Some(self.above);
        while let Some(node) = at.and_then(|at| self.trail.get(at)) {
            steps.push(node.step);
            at = node.above;
        }
        let mut path = self.root.to_owned();
        for step in steps.into_iter().rev() {
            match step {
                Step::Root => {}
                Step::Member(name) => push_member(&mut path, name),
                Step::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

/// Calls `each` for every member of every object in `value`, which is at the path `root`. Returns whether that were at most `visits_max` values; the rest isn't
/// walked.
pub fn each_member<'v>(
    root: &str,
    value: &'v Value,
    visits_max: usize,
    each: &mut dyn FnMut(&Member<'_, 'v>),
) -> bool {
    let mut trail = vec![Node { above: None, step: Step::Root, value }];
    let (mut next, mut visits) = (0_usize, 0_usize);
    while let Some(value) = trail.get(next).map(|node| node.value) {
        visits = visits.saturating_add(size(value));
        if visits > visits_max {
            return false;
        }
        let above = Some(next);
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    each(&Member { name, value, root, trail: &trail, above: next });
                }
                let holding = members.iter().filter(|(_, value)| size(value) > 0);
                let node = |(name, value): (&'v String, _)| Node {
                    above,
                    step: Step::Member(name),
                    value,
                };
                trail.extend(holding.map(node));
            }
            Value::Array(items) => {
                let holding = items.iter().enumerate().filter(|(_, value)| size(value) > 0);
                let node = |(index, value)| Node { above, step: Step::Item(index), value };
                trail.extend(holding.map(node));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        next = next.saturating_add(1);
    }
    true
}

/// How many values are right below one.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
