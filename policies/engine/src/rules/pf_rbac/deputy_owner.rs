//! What a controller may write for an AgentRoleBinding: no more than that binding implies, which was judged when it was applied.

use std::collections::BTreeSet;

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::meta::Owner;
use pinfold_model::object::rbac::{AgentRoleBinding, Binding, PolicyRule, Role};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, SubjectKey, selects, subject_key};

use super::gate::unresolved;
use super::{agent_binding_subjects, place_of, role, role_template, scope};
use crate::context::{Context, Found};
use crate::rbac::agents::account_of_user;
use crate::rbac::coverage::{Coverage, covers};
use crate::rbac::describe::{excerpt, permissions, place as in_words};

const PATH: &str = "$.metadata.ownerReferences";
const REMEDY: &str = "have the controller write exactly what the AgentRoleBinding says, or leave out the owner reference";

/// Judges a Role or native binding that an AgentRoleBinding controls.
pub(super) fn judge(context: &Context<'_>, owner: &Owner, rule: &RuleId, found: &mut Found) {
    let Some((key, binding)) = find(context, owner, rule, found) else { return };
    let live = context.facts.answers.live(key).is_some();
    let before = found.raw.len();
    match scope::expand_from(context, &key.namespace, binding) {
        Ok(places) => {
            let judge = Judge { context, owner: (key, binding), places: &places, rule };
            judge.judge(found);
        }
        Err(why) => {
            let message = format!("cannot tell where its owner gives rights: {why}");
            found.add(rule.clone(), PATH, message, REMEDY);
        }
    }
    if !live {
        let question = Question::Object(key.clone());
        if found.raw.len() > before {
            found.ask(question.clone());
        }
        found.confirm(question);
    }
}

/// The AgentRoleBinding of that name and uid, in the same namespace or by its uid in another.
fn find<'a>(
    context: &Context<'a>,
    owner: &Owner,
    rule: &RuleId,
    found: &mut Found,
) -> Option<(&'a ObjectKey, &'a AgentRoleBinding)> {
    let Owner { group, kind, name, uid, .. } = owner;
    let is_it = |object: &&Object| {
        let ObjectKey { group: its_group, kind: its_kind, name: its_name, .. } = &object.key;
        object.meta.uid == *uid && (its_group, its_kind, its_name) == (group, kind, name)
    };
    let near = ObjectKey::new(group, kind, &context.facts.target.namespace, name);
    let known = context.view.by_uid(uid).filter(|_| !uid.is_empty()).map(|object| &object.key);
    let keys = known.into_iter().chain([&near]);
    let object = keys.filter_map(|key| context.lookup(key)).find(is_it);
    if let Some(object) = object.filter(|_| !uid.is_empty())
        && let Facts::AgentRoleBinding(binding) = &object.facts
    {
        return Some((&object.key, binding));
    }
    let message = format!(
        "its owner `{}` of uid `{}` isn't there, so nobody was judged for what this gives",
        excerpt(&near.to_string()),
        excerpt(uid)
    );
    found.add(rule.clone(), PATH, message, REMEDY);
    if context.facts.answers.live(&near).is_none() {
        found.ask(Question::Object(near));
    }
    None
}

struct Judge<'j, 'a> {
    context: &'j Context<'a>,
    owner: (&'a ObjectKey, &'a AgentRoleBinding),
    places: &'j BTreeSet<String>,
    rule: &'j RuleId,
}

impl Judge<'_, '_> {
    fn judge(&self, found: &mut Found) {
        let place = place_of(self.context.facts);
        let cluster_role = self.context.facts.target.kind == "ClusterRole";
        // A ClusterRole gives nothing by itself; whoever binds it is judged.
        if !cluster_role && !self.places.contains(place) && !self.places.contains("") {
            let message = format!("{} gives nothing {}", self.owner_name(), in_words(place));
            self.refuse(PATH, message, found);
            return;
        }
        let Some(facts) = self.context.subject_facts() else { return };
        if let Facts::Role(role) = facts {
            self.judge_role(role, place, found);
        } else if let Facts::Binding(binding) = facts {
            self.judge_binding(binding, place, found);
        }
    }

    fn judge_role(&self, written: &Role, place: &str, found: &mut Found) {
        let rules = written.rules.iter().collect();
        self.judge_rules("$.rules", rules, place, found);
        if role::aggregates(written) {
            let message = format!("{} says of no aggregation", self.owner_name());
            self.refuse("$.aggregationRule", message, found);
        }
        if let Some(other) = self.taken_in_by() {
            let message = format!(
                "its labels put it into ClusterRole `{}`, and so give it to others",
                excerpt(other)
            );
            self.refuse("$.metadata.labels", message, found);
        }
    }

    /// A role that would take this one in.
    fn taken_in_by(&self) -> Option<&str> {
        let object = self.context.facts.object.as_ref()?;
        if (object.key.group.as_str(), object.key.kind.as_str()) != (RBAC_GROUP, "ClusterRole") {
            return None;
        }
        let takes_in = |other: &&Object| {
            let Facts::Role(role) = &other.facts else { return false };
            let selectors = role.aggregation.as_deref().unwrap_or_default();
            let label = |key: &str| object.meta.labels.get(key).cloned();
            selectors.iter().any(|selector| selects(selector, label))
        };
        let by = self.context.view.aggregating().filter(takes_in);
        by.map(|other| other.key.name.as_str()).min()
    }

    fn judge_binding(&self, written: &Binding, place: &str, found: &mut Found) {
        let (key, binding) = self.owner;
        let implied = agent_binding_subjects::subjects(self.context, &key.namespace, binding);
        let implied: BTreeSet<Who> =
            implied.iter().filter_map(|one| subject_key(one, &key.namespace)).map(who).collect();
        for (index, subject) in written.subjects.iter().enumerate() {
            let known = subject_key(subject, place).map(who);
            if known.is_some_and(|known| !implied.contains(&known)) {
                let message = format!(
                    "{} gives nothing to {} `{}`",
                    self.owner_name(),
                    excerpt(&subject.kind),
                    excerpt(&subject.name)
                );
                self.refuse(&format!("$.subjects[{index}]"), message, found);
            }
        }
        let role = &written.role_ref;
        let own = binding.role_ref.as_ref();
        if own.is_some_and(|own| {
            own.kind == role.kind && own.name == role.name && !role_template::is_template(own)
        }) {
            return;
        }
        match role_template::granted(self.context, role, place) {
            Ok(rules) => self.judge_rules("$.roleRef", rules, place, found),
            Err(why) => self.refuse("$.roleRef", unresolved(&why, role, place), found),
        }
        if let Some(key) = pinfold_model::snapshot::role_key(role, place)
            && self.context.facts.answers.live(&key).is_none()
        {
            found.ask(Question::Object(key.clone()));
            found.confirm(Question::Object(key));
        }
    }

    /// Whether the owner implies all of some rules in a place.
    fn judge_rules(&self, path: &str, rules: Vec<&PolicyRule>, place: &str, found: &mut Found) {
        let (_, binding) = self.owner;
        let of_role = binding.role_ref.as_ref();
        let of_role = of_role.map(|role| role_template::granted(self.context, role, place));
        let implied = match of_role.transpose() {
            Ok(of_role) => of_role.unwrap_or_default(),
            Err(why) => {
                let role = binding.role_ref.as_ref();
                let why = role.map(|role| unresolved(&why, role, place)).unwrap_or_default();
                let message = format!("cannot tell what {} implies: {why}", self.owner_name());
                return self.refuse(path, message, found);
            }
        };
        let implied = implied.into_iter().chain(binding.resource_rules.iter());
        let lacking = match covers(implied, rules) {
            Coverage::Covered => return,
            Coverage::Missing(shortfall) => permissions(&shortfall.gaps),
            Coverage::TooLarge => "more than can be compared".to_owned(),
        };
        let message = format!(
            "this gives {lacking} {}, which {} doesn't",
            in_words(place),
            self.owner_name()
        );
        self.refuse(path, message, found);
    }

    fn owner_name(&self) -> String {
        format!("its owner, `{}`,", excerpt(&self.owner.0.to_string()))
    }

    fn refuse(&self, path: &str, message: String, found: &mut Found) {
        found.add(self.rule.clone(), path, message, REMEDY);
    }
}

/// A subject in one spelling.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    User(String),
    Group(String),
    Account(String, String),
}

fn who(key: SubjectKey) -> Who {
    match key {
        SubjectKey::User(user) => match account_of_user(&user) {
            Some((namespace, name)) => Who::Account(namespace.to_owned(), name.to_owned()),
            None => Who::User(user),
        },
        SubjectKey::Group(group) => Who::Group(group),
        SubjectKey::ServiceAccount(namespace, name) => Who::Account(namespace, name),
    }
}
