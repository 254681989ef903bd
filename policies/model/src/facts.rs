//! The facts of one admission request: everything that a rule may look at, already parsed.
//!
//! Facts are made in one place per wire format (`webhook/review`, the CLI's manifests) and judged by the engine. They hold no bytes of
//! the wire but the object's JSON value, which only a policy's JSONPaths look at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::{Change, Object, ObjectKey};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Requester {
    /// `userInfo.username`.
    pub name: String,
    /// `userInfo.uid`, empty if there is none.
    pub uid: String,
    /// `userInfo.groups`.
    pub groups: Vec<String>,
    /// `userInfo.extra`.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Requester {
    /// Whether the requester is in a group.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|name| name == group)
    }

    /// Namespace and name, if the requester is a ServiceAccount.
    #[must_use]
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new object, also by PUT or server-side apply.
    Create,
    /// A change.
    Update,
    /// A removal.
    Delete,
    /// `exec`, `attach`, `portforward`, `proxy`.
    Connect,
}

impl Operation {
    /// The name in an AdmissionReview.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// Whether it creates or changes an object.
    #[must_use]
    pub fn is_write(self) -> bool {
        match self {
            Self::Create | Self::Update => true,
            Self::Delete | Self::Connect => false,
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Connect]
            .into_iter()
            .find(|operation| operation.as_str() == name)
    }
}

/// One admission request.
#[derive(Debug, Clone)]
pub struct AdmissionFacts {
    /// `request.uid`, echoed in the answer and the record.
    pub uid: String,
    /// Who asks; `None` only offline, where rules that need the requester are then undecided.
    pub requester: Option<Requester>,
    /// What is asked.
    pub operation: Operation,
    /// `request.subResource`, empty for the object itself.
    pub subresource: String,
    /// Group, kind, namespace and name of the object that the request is about; the name is empty with `generateName`.
    pub target: ObjectKey,
    /// `request.name`: what the authorizer is asked about; empty for POST.
    pub request_name: String,
    /// No side effects wanted.
    pub dry_run: bool,
    /// The object as it would be stored; `None` for DELETE.
    pub object: Option<Object>,
    /// The object as it is stored; `None` for CREATE.
    pub old_object: Option<Object>,
    /// The JSON of `object`, for the JSONPaths of policies.
    pub document: Option<Value>,
    /// How much an UPDATE changes ([`crate::object::change`] of the old and the new JSON). Needed once something denies: an update that only lets the
    /// garbage collector go on must not be stopped.
    pub change: Change,
    /// What the edge found out on the engine's questions.
    pub answers: Answers,
}

impl AdmissionFacts {
    /// Whether it creates an object, or changes one in more than the garbage collector does, which must get rid of what is there.
    #[must_use]
    pub fn brings_content(&self) -> bool {
        match self.operation {
            Operation::Create => true,
            Operation::Update => self.change != Change::Garbage,
            Operation::Delete | Operation::Connect => false,
        }
    }
}

/// A question that the view can't answer surely; the edge may ask the API server and decide again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// May somebody do this? (SubjectAccessReview: the whole authorizer chain, not RBAC alone.)
    Access(AccessQuestion),
    /// What does this object look like right now?
    Object(ObjectKey),
    /// The same, whole, where a watch brings its metadata alone: the pod template of a workload that is scaled.
    Whole(ObjectKey),
}

/// The attributes of a SubjectAccessReview.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessQuestion {
    /// Who may; `None` is the requester, else it is whom a deputy acts for.
    pub user: Option<Box<Requester>>,
    /// Verb, such as `bind`.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// Resource, plural.
    pub resource: String,
    /// Namespace; empty for cluster scope.
    pub namespace: String,
    /// Object name; empty for all.
    pub name: String,
}

/// Answers to [`Question`]s, gathered by the edge.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Access questions and whether the API server allowed them.
    pub access: Vec<(AccessQuestion, bool)>,
    /// Objects read live; `None` is "there is no such object". They win over the view.
    pub objects: Vec<(ObjectKey, Option<Object>)>,
    /// Objects read live and whole; `None` is "there is no such object".
    pub whole: Vec<(ObjectKey, Option<Object>)>,
}

impl Answers {
    /// Whether a question has been answered.
    #[must_use]
    pub fn has(&self, question: &Question) -> bool {
        match question {
            Question::Access(access) => self.access.iter().any(|(asked, _)| asked == access),
            Question::Object(key) => self.live(key).is_some(),
            Question::Whole(key) => self.whole.iter().any(|(asked, _)| asked == key),
        }
    }

    /// Whether nothing was answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.access.is_empty() && self.objects.is_empty() && self.whole.is_empty()
    }

    /// Adds the answers to further questions.
    pub fn extend(&mut self, further: Self) {
        self.access.extend(further.access);
        self.objects.extend(further.objects);
        self.whole.extend(further.whole);
    }

    /// Whether access was asked for and granted.
    #[must_use]
    pub fn granted(&self, question: &AccessQuestion) -> bool {
        self.access.iter().any(|(asked, granted)| asked == question && *granted)
    }

    /// The live form of an object, if it was read: `Some(None)` says that there is none.
    #[must_use]
    pub fn live(&self, key: &ObjectKey) -> Option<Option<&Object>> {
        self.objects.iter().find(|(asked, _)| asked == key).map(|(_, found)| found.as_ref())
    }
}
