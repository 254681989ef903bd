//! The native objects that the controller of an AgentRoleBinding would write, for review before it is applied.
//!
//! Names are the binding's own, so that one that is written by hand can be told from it by nobody but its owner.

use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, RoleRef, Subject};
use pinfold_model::object::{Facts, ObjectKey};
use pinfold_model::snapshot::RBAC_GROUP;

use super::World;
use super::agent_binding::{self, TEMPLATE};
use super::identity::agent_object;

/// A native object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// Which.
    pub key: ObjectKey,
    /// What it says.
    pub content: Content,
}

/// What a native object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A Role or ClusterRole.
    Role(Vec<PolicyRule>),
    /// A RoleBinding or ClusterRoleBinding.
    Binding {
        /// The role.
        role: RoleRef,
        /// Whom it is for.
        subjects: Vec<Subject>,
    },
}

/// Why an AgentRoleBinding can't become native objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNative {
    /// It can't be told where it gives rights.
    Scope(String),
    /// Nobody gets anything: its subject leads to no account.
    Nobody,
    /// The policy has no role template of that name.
    NoTemplate(String),
}

/// The native objects that a binding in the world's view stands for; one that is native already stands for itself.
///
/// # Errors
/// [`NotNative`].
pub fn natives(world: &World<'_>, binding: &ObjectKey) -> Result<Vec<Native>, NotNative> {
    let Some(object) = world.view.get(binding) else { return Ok(Vec::new()) };
    if let Facts::Binding(binding) = &object.facts {
        // A ServiceAccount without a namespace is one of the binding's own.
        let placed = |subject: &Subject| match (subject.kind.as_str(), subject.namespace.as_str()) {
            ("ServiceAccount", "") => {
                Subject { namespace: object.key.namespace.clone(), ..subject.clone() }
            }
            _ => subject.clone(),
        };
        let role = RoleRef::clone(&binding.role_ref);
        let subjects = binding.subjects.iter().map(placed).collect();
        let content = Content::Binding { role, subjects };
        return Ok(vec![Native { key: object.key.clone(), content }]);
    }
    let Facts::AgentRoleBinding(binding) = &object.facts else { return Ok(Vec::new()) };
    let subjects = meant(world, &agent_binding::subjects(world, &object.key, binding));
    if subjects.is_empty() {
        return Err(NotNative::Nobody);
    }
    let places = agent_binding::places(world, &object.key, binding).map_err(NotNative::Scope)?;
    let mut natives = Vec::new();
    for place in &places {
        let writer = Writer { place, name: &object.key.name, subjects: &subjects };
        writer.write(world, binding, &mut natives)?;
    }
    Ok(natives)
}

/// The subjects without those that are only the name of an AgentServiceAccount that stands for another of them: the rules count both, a
/// controller means one.
fn meant(world: &World<'_>, subjects: &[Subject]) -> Vec<Subject> {
    let stands_for_another = |subject: &Subject| {
        let Subject { namespace, name, .. } = subject;
        let account = ObjectKey::new("", "ServiceAccount", namespace, name);
        let record = agent_object(world.view, "AgentServiceAccount", namespace, name);
        let Some(Facts::AgentServiceAccount(record)) = record.map(|object| &object.facts) else {
            return false;
        };
        let target = |one: &&Subject| {
            one.namespace == record.namespace && one.name == record.service_account
        };
        subject.kind == "ServiceAccount"
            && world.view.get(&account).is_none()
            && subjects.iter().find(target).is_some_and(|target| target != subject)
    };
    subjects.iter().filter(|subject| !stands_for_another(subject)).cloned().collect()
}

/// Writes what one place gets.
struct Writer<'w> {
    place: &'w str,
    name: &'w str,
    subjects: &'w [Subject],
}

impl Writer<'_> {
    fn write(
        &self,
        world: &World<'_>,
        binding: &AgentRoleBinding,
        natives: &mut Vec<Native>,
    ) -> Result<(), NotNative> {
        match &binding.role_ref {
            Some(role) if role.kind == TEMPLATE => {
                let template = world.policy.rbac.role_templates.get(&role.name);
                let template = template.ok_or_else(|| NotNative::NoTemplate(role.name.clone()))?;
                natives.extend(self.own_role(self.name, &template.rules));
            }
            Some(role) => {
                let role = RoleRef { api_group: RBAC_GROUP.to_owned(), ..role.clone() };
                natives.push(self.bind(self.name, role));
            }
            None => {}
        }
        if !binding.resource_rules.is_empty() {
            let name = match &binding.role_ref {
                Some(_) => format!("{}-rules", self.name),
                None => self.name.to_owned(),
            };
            natives.extend(self.own_role(&name, &binding.resource_rules));
        }
        Ok(())
    }

    /// A role of its own and the binding to it. URLs mean nothing in a namespace, where a Role may not have any.
    fn own_role(&self, name: &str, rules: &[PolicyRule]) -> [Native; 2] {
        let cluster = self.place.is_empty();
        let kind = if cluster { "ClusterRole" } else { "Role" };
        let here = |rule: &PolicyRule| PolicyRule {
            non_resource_urls: if cluster { rule.non_resource_urls.clone() } else { Vec::new() },
            ..rule.clone()
        };
        let counts = |rule: &&PolicyRule| cluster || !rule.resources.is_empty();
        let rules = rules.iter().filter(counts).map(here).collect();
        let key = ObjectKey::new(RBAC_GROUP, kind, self.place, name);
        let (api_group, kind, own) = (RBAC_GROUP.to_owned(), kind.to_owned(), name.to_owned());
        let role = RoleRef { api_group, kind, name: own };
        [Native { key, content: Content::Role(rules) }, self.bind(name, role)]
    }

    fn bind(&self, name: &str, role: RoleRef) -> Native {
        let kind = if self.place.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let key = ObjectKey::new(RBAC_GROUP, kind, self.place, name);
        Native { key, content: Content::Binding { role, subjects: self.subjects.to_vec() } }
    }
}
