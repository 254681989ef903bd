//! What a proposed binding would give: where, to whom, what of it is new to them, what meets the ceiling, and what its author lacks.

use std::collections::{BTreeSet, HashMap};

use pinfold_model::facts::Requester;
use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, RoleRef, Subject};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, SubjectKey, subject_key};

use super::World;
use super::agent_binding::{self, TEMPLATE};
use super::ceiling::mark_rights;
use super::chain::Right;
use super::identity::requester_of;
use super::narrow::{Passing, passing};
use super::who_can::{AgentIdentity, Members, members};
use crate::rbac::agents::AUTHENTICATED;
use crate::rbac::coverage::{Coverage, Missing, covers};
use crate::rbac::effective::{Given, Gives, gives};
use crate::rbac::resolver::{MASTERS, Resolver, Unresolved};

/// For how many agent identities behind one subject it is told what is new to them.
const MAX_NEWS: usize = 16;

/// What a binding would give.
#[derive(Debug, Clone)]
pub struct Proposal<'a> {
    /// The binding.
    pub binding: &'a ObjectKey,
    /// Whom it is for; empty: nobody yet.
    pub receivers: Vec<Receiver<'a>>,
    /// What it gives, by place; the error says why the places can't be told.
    pub grants: Result<Vec<Grant<'a>>, String>,
}

/// Somebody whom a binding is for.
#[derive(Debug, Clone)]
pub struct Receiver<'a> {
    /// Who.
    pub subject: SubjectKey,
    /// The agent identities that it is or that are in it.
    pub agents: Vec<AgentIdentity<'a>>,
    /// How many more agent identities are in it than are named.
    pub further: usize,
    /// Whether accounts that a pattern of the policy names, and that may not exist yet, would be in it.
    pub by_pattern: bool,
}

/// Where the rights of a grant are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A role.
    Role(&'a RoleRef),
    /// A role template of the policy.
    Template(&'a str),
    /// `resourceRules` of the binding itself.
    Rules,
}

/// What a binding gives in one place.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The namespace; empty for all.
    pub place: String,
    /// Where the rights are written down.
    pub source: Source<'a>,
    /// The rights, or why they can't be told.
    pub rights: Result<Vec<Right<'a>>, Unresolved>,
    /// What of them is new, to each receiver and agent identity behind it.
    pub news: Vec<News>,
    /// What the author doesn't hold of them; `None` if it isn't known who that is.
    pub lacks: Option<Lacks>,
    /// What of the rights the author holds and no ceiling denies.
    pub passing: Passing,
}

/// What is new to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Who.
    pub holder: SubjectKey,
    /// What they don't hold yet.
    pub adds: Shortage,
}

/// What somebody doesn't hold of some rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// They hold it all.
    Nothing,
    /// These, as far as they are told.
    Rules {
        /// The missing rights.
        rules: Vec<PolicyRule>,
        /// Whether there are more than are told.
        more: bool,
    },
    /// There is too much to tell.
    CannotTell,
}

/// What an author lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacks {
    /// It is in `system:masters`: nothing is asked.
    Master,
    /// It may `bind` the role, whether it holds the rights or not.
    MayBind(Shortage),
    /// It has to hold the rights.
    MustHold(Shortage),
}

/// What a binding in the world's view would give; `None` if the key is of no binding there. `author` is who would apply it.
#[must_use]
pub fn proposal<'a>(
    world: &World<'a>,
    binding: &ObjectKey,
    author: Option<&Requester>,
) -> Option<Proposal<'a>> {
    let object = world.view.get(binding)?;
    let mut before = world.view.clone();
    before.remove(binding);
    let weigher = |subjects: &[Subject]| Weigher {
        world,
        before: &before,
        author,
        is_agent_binding: matches!(object.facts, Facts::AgentRoleBinding(_)),
        receivers: receivers(world, object, subjects),
    };
    if let Facts::Binding(binding) = &object.facts {
        let weigher = weigher(&binding.subjects);
        let role = Source::Role(&binding.role_ref);
        let grants = Ok(vec![weigher.grant(native_place(&object.key), role)]);
        return Some(Proposal { binding: &object.key, receivers: weigher.receivers, grants });
    }
    let Facts::AgentRoleBinding(binding) = &object.facts else { return None };
    let weigher = weigher(&agent_binding::subjects(world, &object.key, binding));
    let places = agent_binding::places(world, &object.key, binding);
    let grants = places.map(|places| weigher.agent_grants(&places, binding));
    Some(Proposal { binding: &object.key, receivers: weigher.receivers, grants })
}

/// The namespace of a native binding, which a ClusterRoleBinding has not, whatever its metadata says.
fn native_place(key: &ObjectKey) -> &str {
    if key.kind == "ClusterRoleBinding" { "" } else { &key.namespace }
}

fn receivers<'a>(world: &World<'a>, object: &Object, subjects: &[Subject]) -> Vec<Receiver<'a>> {
    let mut seen = BTreeSet::new();
    let place = native_place(&object.key);
    let keys = subjects.iter().filter_map(|subject| subject_key(subject, place));
    let fresh = keys.filter(|key| seen.insert(super::chain::order(key)));
    let receiver = |subject| {
        let Members { agents, further, by_pattern } = members(world, &subject);
        Receiver { subject, agents, further, by_pattern }
    };
    fresh.map(receiver).collect()
}

/// What one binding's grants are weighed against.
struct Weigher<'w, 'a> {
    world: &'w World<'a>,
    /// The cluster without the binding.
    before: &'w Snapshot,
    author: Option<&'w Requester>,
    /// Whether nobody but Pinfold asks whether its author may give it.
    is_agent_binding: bool,
    receivers: Vec<Receiver<'a>>,
}

impl<'a> Weigher<'_, 'a> {
    fn agent_grants(
        &self,
        places: &BTreeSet<String>,
        binding: &'a AgentRoleBinding,
    ) -> Vec<Grant<'a>> {
        let mut grants = Vec::new();
        for place in places {
            if let Some(role) = &binding.role_ref {
                let source = match role.kind.as_str() {
                    TEMPLATE => Source::Template(&role.name),
                    _ => Source::Role(role),
                };
                grants.push(self.grant(place, source));
            }
            if !binding.resource_rules.is_empty() {
                let rules = binding.resource_rules.iter().collect();
                grants.push(self.weigh(place, Source::Rules, Ok(rules)));
            }
        }
        grants
    }

    fn grant(&self, place: &str, source: Source<'a>) -> Grant<'a> {
        let world = self.world;
        let rules = match source {
            Source::Role(role) => return self.role_grant(place, role),
            Source::Template(name) => match world.policy.rbac.role_templates.get(name) {
                Some(template) => Ok(template.rules.iter().collect()),
                None => Err(Unresolved::Absent(ObjectKey::new("", TEMPLATE, "", name))),
            },
            Source::Rules => Ok(Vec::new()),
        };
        self.weigh(place, source, rules)
    }

    fn weigh(
        &self,
        place: &str,
        source: Source<'a>,
        rules: Result<Vec<&'a PolicyRule>, Unresolved>,
    ) -> Grant<'a> {
        let rules = match rules {
            Ok(rules) => rules,
            Err(why) => return unresolved(place, source, why),
        };
        let given = own_rights(place, &rules);
        self.measure(place, source, given, &rules)
    }

    /// What a role would give as soon as the aggregation controller has looked; its author is held to what the role says now, except where
    /// nobody but Pinfold asks.
    fn role_grant(&self, place: &str, role: &'a RoleRef) -> Grant<'a> {
        let World { view, answers, .. } = *self.world;
        let source = Source::Role(role);
        let stored = || Resolver::new(view, answers).granted(role, place);
        let gives = gives(view, answers, role, place);
        let (gives, stored) = match gives.and_then(|gives| Ok((gives, stored()?))) {
            Ok(both) => both,
            Err(why) => return unresolved(place, source, why),
        };
        let given = joined(place, &gives);
        let asked =
            if self.is_agent_binding { given.iter().map(|one| one.rule).collect() } else { stored };
        self.measure(place, source, given, &asked)
    }

    /// Weighs rights; the author is asked for `asked`.
    fn measure(
        &self,
        place: &str,
        source: Source<'a>,
        mut given: Vec<Right<'a>>,
        asked: &[&PolicyRule],
    ) -> Grant<'a> {
        if self.receivers.iter().any(|one| !one.agents.is_empty() || one.by_pattern) {
            mark_rights(self.world, place, &mut given);
        }
        let counted: Vec<&PolicyRule> = given.iter().map(|right| right.rule).collect();
        let lacks = self.author.map(|author| self.lacks(author, place, source, asked));
        let news = self.news(place, &counted);
        let held = self.held_by_author(place, lacks.as_ref());
        let passing = passing(self.world, place, &given, held.as_deref());
        let (place, rights) = (place.to_owned(), Ok(given));
        Grant { place, source, rights, news, lacks, passing }
    }

    /// What the author holds, if that matters: for less than a whole role somebody has to write one, and `bind` doesn't help there.
    fn held_by_author(&self, place: &str, lacks: Option<&Lacks>) -> Option<Vec<&PolicyRule>> {
        match lacks? {
            Lacks::Master => None,
            Lacks::MayBind(_) | Lacks::MustHold(_) => Some(self.held(self.author?, place)),
        }
    }

    fn held(&self, who: &Requester, place: &str) -> Vec<&PolicyRule> {
        Resolver::new(self.before, self.world.answers).held(who, place).rules
    }

    fn lacks(
        &self,
        author: &Requester,
        place: &str,
        source: Source<'_>,
        rules: &[&PolicyRule],
    ) -> Lacks {
        if author.in_group(MASTERS) {
            return Lacks::Master;
        }
        let held = self.held(author, place);
        let shortage = shortage(&held, rules);
        let may_bind = |role: &RoleRef| {
            let resource = if role.kind == "Role" { "roles" } else { "clusterroles" };
            let attributes = crate::rbac::resolver::Attributes {
                verb: "bind",
                group: RBAC_GROUP,
                resource,
                name: &role.name,
            };
            held.iter().any(|rule| attributes.allowed_by(rule))
        };
        match source {
            Source::Role(role) if may_bind(role) => Lacks::MayBind(shortage),
            Source::Role(_) | Source::Template(_) | Source::Rules => Lacks::MustHold(shortage),
        }
    }

    fn news(&self, place: &str, rules: &[&PolicyRule]) -> Vec<News> {
        let mut news: Vec<News> = Vec::new();
        for receiver in &self.receivers {
            let accounts = receiver.agents.iter().take(MAX_NEWS).map(|agent| {
                let account = &agent.account;
                let key =
                    SubjectKey::ServiceAccount(account.namespace.clone(), account.name.clone());
                (key, requester_of(account))
            });
            let own = (receiver.subject.clone(), requester(&receiver.subject));
            // What an account holds includes what it holds by its groups, so it says more than its spelling.
            let group = matches!(receiver.subject, SubjectKey::Group(_));
            let own = (group || receiver.agents.is_empty()).then_some(own);
            for (holder, who) in own.into_iter().chain(accounts) {
                if !news.iter().any(|known| known.holder == holder) {
                    let adds = shortage(&self.held(&who, place), rules);
                    news.push(News { holder, adds });
                }
            }
        }
        news
    }
}

fn unresolved<'a>(place: &str, source: Source<'a>, why: Unresolved) -> Grant<'a> {
    let (place, rights) = (place.to_owned(), Err(why));
    Grant { place, source, rights, news: Vec::new(), lacks: None, passing: Passing::CannotTell }
}

/// Each rule once, with all roles that it is taken in from.
fn joined<'a>(place: &str, gives: &Gives<'a>) -> Vec<Right<'a>> {
    let mut known: HashMap<&PolicyRule, usize> = HashMap::new();
    let mut rights: Vec<Right<'a>> = Vec::new();
    let counts = |given: &&Given<'a>| place.is_empty() || !given.rule.resources.is_empty();
    for given in gives.rules.iter().filter(counts) {
        let at = *known.entry(given.rule).or_insert_with(|| {
            rights.push(Right { rule: given.rule, from: Vec::new(), ceiling: None });
            rights.len().saturating_sub(1)
        });
        if let (Some(right), Some(from)) = (rights.get_mut(at), given.from) {
            right.from.push(from);
        }
    }
    rights
}

/// Rights that are no role's.
fn own_rights<'a>(place: &str, rules: &[&'a PolicyRule]) -> Vec<Right<'a>> {
    let counts = |rule: &&&PolicyRule| place.is_empty() || !rule.resources.is_empty();
    let right = |rule: &&'a PolicyRule| Right { rule, from: Vec::new(), ceiling: None };
    rules.iter().filter(counts).map(right).collect()
}

/// What of a subject is known to the authorizer.
fn requester(subject: &SubjectKey) -> Requester {
    match subject {
        SubjectKey::ServiceAccount(namespace, name) => {
            let (namespace, name) = (namespace.clone(), name.clone());
            requester_of(&crate::rbac::agents::Account { namespace, name })
        }
        SubjectKey::User(name) => Requester {
            name: name.clone(),
            groups: vec![AUTHENTICATED.to_owned()],
            ..Requester::default()
        },
        SubjectKey::Group(name) => Requester { groups: vec![name.clone()], ..Requester::default() },
    }
}

fn shortage(held: &[&PolicyRule], wanted: &[&PolicyRule]) -> Shortage {
    let missing = match covers(held.iter().copied(), wanted.iter().copied()) {
        Coverage::Covered => return Shortage::Nothing,
        Coverage::TooLarge => return Shortage::CannotTell,
        Coverage::Missing(missing) => missing,
    };
    let told = missing.gaps.iter().flat_map(|gap| &gap.missing);
    let shown: u64 = told.clone().map(size).fold(0, u64::saturating_add);
    let all = missing.gaps.iter().map(|gap| gap.atoms).fold(0, u64::saturating_add);
    let more = missing.rules > missing.gaps.len() || shown < all;
    Shortage::Rules { rules: told.map(rule_of).collect(), more }
}

fn rule_of(missing: &Missing<'_>) -> PolicyRule {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    PolicyRule {
        verbs: own(&missing.verbs),
        api_groups: own(&missing.groups),
        resources: own(&missing.resources),
        resource_names: own(&missing.names),
        non_resource_urls: own(&missing.urls),
    }
}

/// How many rights the lists of a block show.
fn size(missing: &Missing<'_>) -> u64 {
    let length = |list: &[&str]| u64::try_from(list.len()).unwrap_or(u64::MAX);
    let what = if missing.urls.is_empty() {
        let resources = length(&missing.groups).saturating_mul(length(&missing.resources));
        resources.saturating_mul(length(&missing.names).max(1))
    } else {
        length(&missing.urls)
    };
    length(&missing.verbs).saturating_mul(what)
}
