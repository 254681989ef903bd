//! The gates that the three rules share.

use std::sync::LazyLock;

use pinfold_model::facts::{AccessQuestion, Operation, Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::Change;
use pinfold_model::object::rbac::{PolicyRule, RoleRef};
use pinfold_model::snapshot::RBAC_GROUP;

use super::deputy::Principal;
use crate::context::{Context, Found};
use crate::rbac::coverage::{Coverage, Shortfall, covers};
use crate::rbac::describe::{excerpt, list, permissions, place};
use crate::rbac::resolver::{Held, MASTERS, Resolver, Unresolved};

/// All verbs on all resources, and on all URLs.
pub(super) static FULL_AUTHORITY: LazyLock<[PolicyRule; 2]> = LazyLock::new(|| {
    let star = || vec!["*".to_owned()];
    [
        PolicyRule {
            verbs: star(),
            api_groups: star(),
            resources: star(),
            ..PolicyRule::default()
        },
        PolicyRule { verbs: star(), non_resource_urls: star(), ..PolicyRule::default() },
    ]
});

/// The API group of Pinfold's own kinds.
pub(super) const OWN_GROUP: &str = "pinfold.dev";

/// A request that somebody must hold rights for: who asks, or whom a deputy acts for.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    pub(super) context: Context<'a>,
    pub(super) requester: &'a Requester,
    pub(super) resolver: Resolver<'a>,
    /// Whether a deputy asks. The API server then judged the deputy, so nothing but this rule stands before the request.
    pub(super) behalf: bool,
}

impl<'a> Gate<'a> {
    /// `None` if the rule has nothing to judge: whoever it is holds everything, or nobody's rights count (told, or noted as undecided).
    pub(super) fn open(
        context: &Context<'a>,
        principal: &'a Principal<'_>,
        rule: RuleId,
        found: &mut Found,
    ) -> Option<Self> {
        let (requester, behalf) = match principal {
            Principal::Requester(requester) => (*requester, false),
            Principal::Named(requester) => (requester.as_ref(), true),
            Principal::Unknown => {
                found.undecided(rule);
                return None;
            }
            Principal::Refused(refusal) => {
                refusal.tell(rule, found);
                return None;
            }
            Principal::Owner(_) | Principal::Nobody => return None,
        };
        let resolver = Resolver::new(context.view, &context.facts.answers);
        let gate = Self { context: *context, requester, resolver, behalf };
        (!requester.in_group(MASTERS)).then_some(gate)
    }

    /// A question about whom this is for.
    fn about(&self, question: AccessQuestion) -> AccessQuestion {
        let user = self.behalf.then(|| Box::new(self.requester.clone()));
        AccessQuestion { user, ..question }
    }

    pub(super) fn held(&self, namespace: &str) -> Held<'a> {
        self.resolver.held(self.requester, namespace)
    }

    /// Whether the requester may, by RBAC in the view or by the API server's answer for this place or for all.
    pub(super) fn may(&self, held: &Held<'_>, question: &AccessQuestion) -> bool {
        if held.allow(question) {
            return true;
        }
        let answers = &self.context.facts.answers;
        let asked = self.about(question.clone());
        let everywhere = AccessQuestion { namespace: String::new(), ..asked.clone() };
        answers.granted(&asked) || answers.granted(&everywhere)
    }

    /// Asks the API server, unless it answered already.
    pub(super) fn ask_access(&self, question: AccessQuestion, found: &mut Found) {
        let question = self.about(question);
        let answered = &self.context.facts.answers.access;
        if !answered.iter().any(|(asked, _)| *asked == question) {
            found.ask(Question::Access(question));
        }
    }

    /// Asks for the live form of the role that a reference means, unless it was read already.
    pub(super) fn ask_role(&self, role: &RoleRef, namespace: &str, found: &mut Found) {
        let Some(key) = pinfold_model::snapshot::role_key(role, namespace) else { return };
        if self.context.facts.answers.live(&key).is_none() {
            found.ask(Question::Object(key));
        }
    }

    /// Nothing but this rule stands before an AgentRoleBinding, so what its role gives is looked at once more before it passes: the role may
    /// have grown behind the view's back.
    pub(super) fn confirm_role(&self, role: &RoleRef, namespace: &str, found: &mut Found) {
        let Some(key) = pinfold_model::snapshot::role_key(role, namespace) else { return };
        if self.context.facts.answers.live(&key).is_none() {
            found.confirm(Question::Object(key));
        }
    }

    /// What the requester lacks of some rules, in words; `None` if nothing.
    pub(super) fn lacks<'w>(
        &self,
        held: &Held<'_>,
        wanted: impl IntoIterator<Item = &'w PolicyRule>,
        namespace: &str,
    ) -> Option<String> {
        match covers(held.rules.iter().copied(), wanted) {
            Coverage::Covered => None,
            Coverage::Missing(shortfall) => Some(self.lacking(&shortfall, held, namespace)),
            Coverage::TooLarge => Some(self.cannot_compare(namespace)),
        }
    }

    pub(super) fn lacking(
        &self,
        shortfall: &Shortfall<'_>,
        held: &Held<'_>,
        namespace: &str,
    ) -> String {
        let (who, where_) = (self.who(), place(namespace));
        let further = match shortfall.rules.saturating_sub(shortfall.gaps.len()) {
            0 => String::new(),
            more => format!(", nor what {more} more rules give"),
        };
        let what = permissions(&shortfall.gaps);
        format!("{who} does not hold {what} {where_}{further}{}", not_counted(held))
    }

    pub(super) fn cannot_compare(&self, namespace: &str) -> String {
        let (who, place) = (self.who(), place(namespace));
        format!("cannot tell whether {who} holds this {place}: the lists are too long to compare")
    }

    pub(super) fn who(&self) -> String {
        let who = excerpt(&self.requester.name);
        if self.behalf {
            format!("`{who}`, for whom the deputy acts,")
        } else {
            format!("requester `{who}`")
        }
    }
}

/// The roles of the requester that could not be read, as a remark.
pub(super) fn not_counted(held: &Held<'_>) -> String {
    if held.unresolved.is_empty() {
        return String::new();
    }
    let roles = list(held.unresolved.iter().map(String::as_str));
    format!(" (not counted, because they can't be found: {roles}, to which it is bound)")
}

/// The question whether the requester may bind a role in a namespace; `None` for what isn't a role.
pub(super) fn bind(role: &RoleRef, namespace: &str) -> Option<AccessQuestion> {
    let resource = match role.kind.as_str() {
        "Role" => "roles",
        "ClusterRole" => "clusterroles",
        _ => return None,
    };
    // As the API server asks: of the group that the reference says, so that a right to bind roles doesn't reach what only looks like one.
    let group = if role.api_group.is_empty() { RBAC_GROUP } else { &role.api_group };
    Some(AccessQuestion {
        user: None,
        verb: "bind",
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: role.name.clone(),
    })
}

/// Why a reference gives nothing that can be told.
pub(super) fn unresolved(why: &Unresolved, role: &RoleRef, namespace: &str) -> String {
    let named = named(role);
    match why {
        Unresolved::Kind => {
            let place = place(namespace);
            format!(
                "cannot tell what {named} gives {place}: a binding there can't name such a role"
            )
        }
        Unresolved::Absent(key) => {
            let key = excerpt(&key.to_string());
            format!("cannot tell what {named} gives: there is no `{key}`")
        }
        Unresolved::TooLarge(_) => {
            format!("cannot tell what {named} gives: it aggregates too many roles")
        }
    }
}

/// A role reference, in words.
pub(super) fn named(role: &RoleRef) -> String {
    format!("role `{}/{}`", excerpt(&role.kind), excerpt(&role.name))
}

/// Whether an update changes only what garbage collection and field management write: such a one gives nothing.
pub(super) fn is_collection_only(context: &Context<'_>) -> bool {
    let facts = context.facts;
    facts.operation == Operation::Update && facts.change == Change::Garbage
}
