//! The requests that are put to a world: who asks, and what.

use serde_json::{Value, json};

use crate::edits;
use crate::kinds::{GROUP, RbacKind, set, text};
use crate::random::Random;
use crate::rules::{Rule, as_json, wanted};
use crate::server::Stored;
use crate::world::{User, World};

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Post,
    Put,
    /// PUT of an object without `resourceVersion` and uid, as from a file.
    PutBare,
    MergePatch,
    StrategicPatch,
    JsonPatch,
    Apply,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) user: User,
    pub(crate) kind: RbacKind,
    pub(crate) namespace: String,
    /// In the path; empty for POST.
    pub(crate) name: String,
    pub(crate) verb: Verb,
    pub(crate) body: Value,
    /// Whether the object is new.
    pub(crate) creates: bool,
    /// What it is about, for the counts.
    pub(crate) tag: &'static str,
}

impl Request {
    /// The reference of the binding as it would be stored.
    pub(crate) fn role_ref(&self, stored: &Stored) -> Option<Value> {
        if self.kind.is_role() {
            return None;
        }
        let mut steps = self.body.as_array().into_iter().flatten();
        let patched =
            steps.find(|step| text(step, "/path") == "/roleRef").and_then(|step| step.get("value"));
        let sent = self.body.get("roleRef").or(patched);
        let identity = (self.kind.name().to_owned(), self.namespace.clone(), self.name.clone());
        let old = stored.object(&identity).and_then(|object| object.get("roleRef"));
        let mut reference = old.cloned().unwrap_or_else(|| json!({}));
        for (name, value) in sent.and_then(Value::as_object).into_iter().flatten() {
            set(&mut reference, "", name, value.clone());
        }
        Some(reference)
    }
}

/// Draws requests for a world.
pub(crate) struct Requests<'w> {
    pub(crate) world: &'w World,
    pub(crate) random: Random,
    next_object: usize,
}

impl<'w> Requests<'w> {
    pub(crate) fn new(world: &'w World, random: Random) -> Self {
        Self { world, random, next_object: 0 }
    }

    pub(crate) fn draw(&mut self) -> Request {
        let kind = *self.random.weighted(&[
            (5, RbacKind::Role),
            (6, RbacKind::ClusterRole),
            (6, RbacKind::RoleBinding),
            (5, RbacKind::ClusterRoleBinding),
        ]);
        if self.random.percent(45) { self.update(kind) } else { self.creation(kind) }
    }

    /// Somebody, where it is likeliest to matter, and what they hold there.
    fn somebody(&mut self, kind: RbacKind) -> (usize, String, Vec<Rule>) {
        let grant = self.random.pick(&self.world.grants).clone();
        let namespace = if !kind.is_namespaced() {
            String::new()
        } else if grant.namespace.is_empty() || self.random.percent(15) {
            self.random.pick(&self.world.namespaces).clone()
        } else {
            grant.namespace.clone()
        };
        let held = self.world.held(grant.user, &namespace);
        (grant.user, namespace, held)
    }

    fn user(&self, number: usize) -> User {
        let nobody = User { name: "nobody".to_owned(), groups: Vec::new() };
        self.world.users.get(number).cloned().unwrap_or(nobody)
    }

    fn fresh_name(&mut self) -> String {
        if self.random.percent(30) {
            return format!("{}-new", self.world.name);
        }
        self.next_object = self.next_object.saturating_add(1);
        format!("{}-new{}", self.world.name, self.next_object)
    }

    fn creation(&mut self, kind: RbacKind) -> Request {
        let (user, namespace, held) = self.somebody(kind);
        let (user, namespace, mut object, tag) = if kind.is_role() {
            self.new_role(kind, user, namespace, &held)
        } else {
            self.new_binding(kind, user, namespace, &held)
        };
        let verb = *self.random.weighted(&[(6, Verb::Post), (2, Verb::PutBare), (1, Verb::Apply)]);
        let mut name = text(&object, "/metadata/name").to_owned();
        if verb == Verb::Post {
            name.clear();
            if self.random.percent(15) {
                let prefix = format!("{}-made-", self.world.name);
                set(&mut object, "", "metadata", json!({"generateName": prefix}));
            }
        }
        let user = self.user(user);
        Request { user, kind, namespace, name, verb, body: object, creates: true, tag }
    }

    /// Somebody of a corner and what they want to give; often one of the last, who have rights to escalate and to bind.
    fn corner(&mut self) -> (usize, Vec<Rule>) {
        let corners = &self.world.corners;
        let rights = corners.len().saturating_sub(4);
        let some = if self.random.percent(30) { corners.get(rights..) } else { None };
        self.random.pick(some.unwrap_or(corners)).clone()
    }

    fn new_role(
        &mut self,
        kind: RbacKind,
        user: usize,
        namespace: String,
        held: &[Rule],
    ) -> (usize, String, Value, &'static str) {
        let name = self.fresh_name();
        let mut object = kind.object(&namespace, &name);
        if self.random.percent(20) {
            let (user, rules) = self.corner();
            // A name that rights to escalate are limited to.
            set(&mut object, "/metadata", "name", json!(format!("{}-new", self.world.name)));
            set(&mut object, "", "rules", as_json(&rules));
            return (user, namespace, object, "corner");
        }
        let mut tag = "rules";
        let rules = match self.random.below(10) {
            0 => self.random.pick(&self.world.roles).rules.clone(),
            1 => vec![Rule::about_rbac(&mut self.random, &[name])],
            _ => wanted(&mut self.random, held, kind.is_namespaced()),
        };
        set(&mut object, "", "rules", as_json(&rules));
        if kind == RbacKind::ClusterRole && self.random.percent(12) {
            set(&mut object, "", "aggregationRule", edits::aggregation(&mut self.random));
            tag = "aggregation";
        }
        (user, namespace, object, tag)
    }

    fn new_binding(
        &mut self,
        kind: RbacKind,
        user: usize,
        namespace: String,
        held: &[Rule],
    ) -> (usize, String, Value, &'static str) {
        let name = self.fresh_name();
        let mut object = kind.object(&namespace, &name);
        let (user, reference, tag) = self.role_ref(kind, user, &namespace, held);
        set(&mut object, "", "roleRef", reference);
        let subjects = self.subjects(&namespace);
        if !subjects.is_empty() || self.random.percent(50) {
            set(&mut object, "", "subjects", subjects.into());
        }
        (user, namespace, object, tag)
    }

    /// A reference to a role that can be bound here, or can't.
    fn role_ref(
        &mut self,
        kind: RbacKind,
        user: usize,
        namespace: &str,
        held: &[Rule],
    ) -> (usize, Value, &'static str) {
        let world = self.world;
        let to = |kind: &str, name: &str| json!({"apiGroup": GROUP, "kind": kind, "name": name});
        let absent = format!("{}-absent", world.name);
        match self.random.below(20) {
            0 => return (user, to("ClusterRole", &absent), "role absent"),
            1 if kind == RbacKind::RoleBinding => {
                return (user, to("Role", &absent), "role absent");
            }
            // A Role can't be bound cluster-wide, nor from another namespace.
            1 => return (user, to("Role", "r1"), "role kind"),
            2 => {
                let kind =
                    *self.random.pick(&["clusterrole", "RoleBinding", "Group", "", "ClusterRoles"]);
                return (user, to(kind, &absent), "role kind");
            }
            3 => {
                let name = &self.random.pick(&world.roles).name;
                let group = *self.random.pick(&["apps", "rbac.authorization.k8s.io/v1", "*", ""]);
                return (
                    user,
                    json!({"apiGroup": group, "kind": "ClusterRole", "name": name}),
                    "role group",
                );
            }
            4 | 5 if !world.shadows.is_empty() => {
                let names: Vec<String> = world.shadows.keys().cloned().collect();
                return (
                    user,
                    to("ClusterRole", self.random.pick(&names).as_str()),
                    "unfilled aggregate",
                );
            }
            6 | 7 => {
                let number = self.random.below(world.corners.len());
                let Some((user, _)) = world.corners.get(number) else {
                    return (user, Value::Null, "corner");
                };
                let name = format!("{}-wanted{number}", world.name);
                return (*user, to("ClusterRole", &name), "corner");
            }
            8 => {
                let name = *self.random.pick(&[
                    "view",
                    "edit",
                    "cluster-admin",
                    "system:discovery",
                    "system:node",
                ]);
                return (user, to("ClusterRole", name), "bootstrap role");
            }
            _ => {}
        }
        let can = |role: &&crate::world::RoleEntry| {
            role.namespace.is_empty() || role.namespace == namespace
        };
        let mut roles: Vec<_> = world.roles.iter().filter(can).collect();
        if self.random.percent(60) {
            // Those that share rules with what is held are the near ones.
            let near: Vec<_> = roles
                .iter()
                .copied()
                .filter(|role| role.rules.iter().any(|rule| held.contains(rule)))
                .collect();
            if !near.is_empty() {
                roles = near;
            }
        }
        let role = *self.random.pick(&roles);
        (user, to(role.kind.name(), &role.name), "role")
    }

    fn subjects(&mut self, namespace: &str) -> Vec<Value> {
        (0..self.random.below(3))
            .map(|_| {
                if self.random.percent(3) {
                    return json!({"kind": "ServiceAccount", "name": "sa0"});
                }
                let user = self.random.below(self.world.users.len());
                if self.random.percent(50) {
                    self.world.spelling(&mut self.random, user, namespace)
                } else {
                    self.world.near_miss(&mut self.random, namespace)
                }
            })
            .collect()
    }

    /// A change of an object of the world, mostly by somebody who is bound where it is.
    fn update(&mut self, kind: RbacKind) -> Request {
        let (mut user, namespace, mut held) = self.somebody(kind);
        let here = |object: &&Value| text(object, "/metadata/namespace") == namespace;
        let objects = self.world.objects_of(kind);
        let here: Vec<&Value> = objects.into_iter().filter(here).collect();
        let old = (*self.random.pick(&here)).clone();
        let name = text(&old, "/metadata/name").to_owned();
        if self.random.percent(25)
            && let Some(near) = self.bound_to(&old, &namespace)
        {
            user = near;
            held = self.world.held(user, &namespace);
        }
        let (new, tag) = self.edited(kind, &old, &held, &namespace);
        let verb = *self.random.weighted(&[
            (5, Verb::Put),
            (2, Verb::PutBare),
            (3, Verb::MergePatch),
            (1, Verb::StrategicPatch),
            (2, Verb::JsonPatch),
            (2, Verb::Apply),
        ]);
        let body = match verb {
            Verb::Post | Verb::Put | Verb::PutBare | Verb::Apply => new,
            Verb::MergePatch | Verb::StrategicPatch => edits::merge_patch(&old, &new),
            Verb::JsonPatch => edits::json_patch(&old, &new),
        };
        let user = self.user(user);
        Request { user, kind, namespace, name, verb, body, creates: false, tag }
    }

    /// Somebody who holds the role that this object is, or binds.
    fn bound_to(&mut self, object: &Value, namespace: &str) -> Option<usize> {
        let is_role = RbacKind::of(object)?.is_role();
        let name = text(object, if is_role { "/metadata/name" } else { "/roleRef/name" });
        let grants = &self.world.grants;
        let of_role =
            |number: &usize| self.world.roles.get(*number).is_some_and(|role| role.name == name);
        let near: Vec<usize> = grants
            .iter()
            .filter(|grant| grant.namespace.is_empty() || grant.namespace == namespace)
            .filter(|grant| of_role(&grant.role))
            .map(|grant| grant.user)
            .collect();
        (!near.is_empty()).then(|| *self.random.pick(&near))
    }

    fn edited(
        &mut self,
        kind: RbacKind,
        old: &Value,
        held: &[Rule],
        namespace: &str,
    ) -> (Value, &'static str) {
        let mut new = old.clone();
        if let Some(tag) = edits::metadata(&mut new, &mut self.random) {
            return (new, tag);
        }
        if kind.is_role() {
            let tag = edits::role(&mut new, kind, held, &mut self.random);
            return (new, tag);
        }
        let tag = match self.random.below(10) {
            0 => {
                let (_, reference, _) = self.role_ref(kind, 0, namespace, held);
                set(&mut new, "", "roleRef", reference);
                "role changed"
            }
            1..=3 => {
                let kept = new
                    .get("subjects")
                    .and_then(Value::as_array)
                    .map(|list| list.iter().skip(1).cloned().collect());
                set(&mut new, "", "subjects", kept.unwrap_or(Value::Null));
                "subject removed"
            }
            4..=7 => {
                let mut subjects =
                    new.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
                subjects.extend(self.subjects(namespace));
                set(&mut new, "", "subjects", subjects.into());
                "subjects"
            }
            _ => {
                set(&mut new, "", "subjects", self.subjects(namespace).into());
                "subjects"
            }
        };
        (new, tag)
    }
}
