//! A JSON document that is changed step by step, and the JSON Patch (RFC 6902) of what was changed.
//!
//! Members of objects alone are set and removed; a list is replaced as a whole. Nothing here decides what to change.

mod unmount;

use serde_json::{Map, Value};

use crate::decision::PatchStep;

pub(crate) use self::unmount::unmount;

/// A document and the steps that made it what it is.
pub(crate) struct Edit {
    pub(crate) document: Value,
    pub(crate) patch: Vec<PatchStep>,
}

impl Edit {
    /// A document that some steps were found for, as they leave it: what is added then applies after them. They must be steps of an [`Edit`].
    pub(crate) fn resumed(document: &Value, patch: Vec<PatchStep>) -> Self {
        let mut document = document.clone();
        for step in &patch {
            match step {
                PatchStep::Add { path, value } | PatchStep::Replace { path, value } => {
                    let (parent, name) = split(path);
                    if let Some(Value::Object(members)) = document.pointer_mut(parent) {
                        members.insert(name, value.clone());
                    }
                }
                PatchStep::Remove { path } => {
                    let (parent, name) = split(path);
                    if let Some(Value::Object(members)) = document.pointer_mut(parent) {
                        members.remove(&name);
                    }
                }
            }
        }
        Self { document, patch }
    }

    /// Sets a member of an existing object; nothing if it has that value, or if there is no such object.
    pub(crate) fn set(&mut self, parent: &str, name: &str, value: Value) {
        let path = format!("{parent}/{}", escape(name));
        let Some(Value::Object(members)) = self.document.pointer_mut(parent) else { return };
        if members.get(name) == Some(&value) {
            return;
        }
        members.insert(name.to_owned(), value.clone());
        self.patch.push(PatchStep::Add { path, value });
    }

    /// Takes a member away, if it is there.
    pub(crate) fn remove(&mut self, parent: &str, name: &str) {
        let path = format!("{parent}/{}", escape(name));
        let Some(Value::Object(members)) = self.document.pointer_mut(parent) else { return };
        if members.remove(name).is_some() {
            self.patch.push(PatchStep::Remove { path });
        }
    }

    /// Makes sure that a member is an object.
    pub(crate) fn ensure(&mut self, parent: &str, name: &str) {
        let below = self.document.pointer(parent).and_then(|parent| parent.get(name));
        if !below.is_some_and(Value::is_object) {
            self.set(parent, name, Value::Object(Map::new()));
        }
    }

    /// A member that is a list; empty if there is none.
    pub(crate) fn list(&self, parent: &str, name: &str) -> Vec<Value> {
        let list = self.document.pointer(parent).and_then(|parent| parent.get(name));
        list.and_then(Value::as_array).cloned().unwrap_or_default()
    }
}

/// A member's name in a JSON Pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The pointer of what holds the last member of a pointer, and that member's name.
fn split(path: &str) -> (&str, String) {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    (parent, name.replace("~1", "/").replace("~0", "~"))
}
