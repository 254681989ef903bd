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
        let mut steps = vec![Step::Member(self.name)];
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
        let (above, mut pending) = (next, Vec::new());
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    each(&Member { name, value, root, trail: &trail, above });
                    pending.push((Step::Member(name), value));
                }
            }
            Value::Array(items) => {
                pending.extend(items.iter().enumerate().map(|(at, value)| (Step::Item(at), value)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        visits = visits.saturating_add(pending.len());
        if visits > visits_max {
            return false;
        }
        pending.retain(|(_, value)| value.is_object() || value.is_array());
        let nodes = pending.into_iter();
        trail.extend(nodes.map(|(step, value)| Node { above: Some(above), step, value }));
        next = next.saturating_add(1);
    }
    true
}
