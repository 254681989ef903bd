//! Whether an object of one namespace may name a Secret or ConfigMap of another, or one of its own that somebody else's label is on.

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::reference::{Reference, is_namespace};

use super::{is_platform, refuse, shared_name};
use crate::context::{Context, Found};
use crate::organization::{Ownership, labels, namespace_key, ownership, shared};
use crate::rbac::describe::excerpt;

/// Where the references of an object are resolved.
pub(super) enum Home<'a> {
    /// A namespaced object's own namespace.
    Namespace { name: &'a str, owner: Ownership },
    /// A volume's: the namespace of its claim. The platform's own Secrets are what its drivers work with, so they may be named.
    Claim { name: &'a str, owner: Ownership },
}

impl Home<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Namespace { name, .. } | Self::Claim { name, .. } => name,
        }
    }

    pub(super) fn owner(&self) -> &Ownership {
        match self {
            Self::Namespace { owner, .. } | Self::Claim { owner, .. } => owner,
        }
    }
}

/// By which way a reference was found.
pub(super) enum Via<'a> {
    /// In the object itself.
    Direct,
    /// In another object, which a field of this one names.
    Object {
        /// The field of this object.
        path: &'a str,
        /// The other object.
        key: &'a ObjectKey,
        /// The field of the other object.
        field: &'a str,
    },
}

impl Via<'_> {
    fn path<'r>(&'r self, reference: &'r Reference) -> &'r str {
        match self {
            Self::Direct => &reference.path,
            Self::Object { path, .. } => path,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Direct => String::new(),
            Self::Object { key, field, .. } => {
                format!(" through `{field}` of {}", excerpt(&key.to_string()))
            }
        }
    }
}

/// Judges references from one home.
pub(super) struct Reach<'c, 'f> {
    pub(super) context: &'f Context<'c>,
    pub(super) home: &'f Home<'f>,
    pub(super) found: &'f mut Found,
}

impl Reach<'_, '_> {
    /// Refuses everything in a namespace whose organization is disputed.
    pub(super) fn refuses_home(&mut self) -> bool {
        let owner = self.home.owner();
        if !matches!(owner, Ownership::Conflict(_)) {
            return false;
        }
        let message = format!("namespace `{}` {owner}", excerpt(self.home.name()));
        let remedy = "make the sources agree: OrgNamespaceBinding, Organization and the label";
        refuse(self.found, "$.metadata.namespace", message, remedy.to_owned());
        true
    }

    /// Judges one reference.
    pub(super) fn judge(&mut self, reference: &Reference, via: &Via<'_>) {
        let own = self.home.name().to_owned();
        let namespace =
            if reference.namespace.is_empty() { own.clone() } else { reference.namespace.clone() };
        if namespace == own {
            self.judge_label(reference, &namespace, None, via);
            return;
        }
        if !is_namespace(&namespace) {
            self.judge_pattern(reference, via);
            return;
        }
        let owner = ownership(self.context, &namespace);
        if self.may_reach(reference, &namespace, &owner) {
            self.judge_label(reference, &namespace, Some(&owner), via);
        } else {
            self.refuse_reach(reference, &namespace, &owner, via);
        }
    }

    /// What isn't the name of a namespace is a pattern of whatever controller reads it, and may mean any.
    fn judge_pattern(&mut self, reference: &Reference, via: &Via<'_>) {
        if is_platform(self.home.owner()) {
            return;
        }
        let message = format!(
            "{kind} `{name}`{via}: `{namespace}` isn't the name of one namespace, so it may mean any",
            kind = reference.kind,
            name = excerpt(&reference.name),
            namespace = excerpt(&reference.namespace),
            via = via.describe(),
        );
        let remedy = "name the namespaces one by one, without patterns or selectors".to_owned();
        refuse(self.found, via.path(reference), message, remedy);
    }

    fn may_reach(&self, reference: &Reference, namespace: &str, owner: &Ownership) -> bool {
        use Ownership as O;
        match (self.home.owner(), owner) {
            (O::Platform, _) => true,
            (O::Owned(from), O::Owned(to)) => {
                from == to || shared(self.context, to, from, &shared_name(reference, namespace))
            }
            (O::Owned(_) | O::Unknown, O::Platform) => matches!(self.home, Home::Claim { .. }),
            // What no organization has a part in is no matter of this rule.
            (O::Unowned, O::Unowned | O::Platform) => true,
            (O::Owned(_), O::Unowned | O::Conflict(_) | O::Unknown)
            | (O::Unowned, O::Owned(_) | O::Conflict(_) | O::Unknown)
            | (O::Conflict(_), _)
            | (O::Unknown, O::Owned(_) | O::Unowned | O::Conflict(_) | O::Unknown) => false,
        }
    }

    fn refuse_reach(
        &mut self,
        reference: &Reference,
        namespace: &str,
        owner: &Ownership,
        via: &Via<'_>,
    ) {
        let (home, home_owner) = (self.home.name(), self.home.owner());
        for (name, owner) in [(home, home_owner), (namespace, owner)] {
            if matches!(owner, Ownership::Unknown) {
                self.found.ask(Question::Object(namespace_key(name)));
            }
        }
        let message = format!(
            "{kind} `{namespace}/{name}`{via} is named from namespace `{home}`, which \
             {home_owner}; namespace `{namespace}` {owner}",
            kind = reference.kind,
            name = excerpt(&reference.name),
            namespace = excerpt(namespace),
            home = excerpt(home),
            via = via.describe(),
        );
        let remedy = self.remedy(reference, namespace, owner);
        refuse(self.found, via.path(reference), message, remedy);
    }

    fn remedy(&self, reference: &Reference, namespace: &str, owner: &Ownership) -> String {
        let home = excerpt(self.home.name());
        match (self.home.owner(), owner) {
            (Ownership::Owned(to), Ownership::Owned(from)) => format!(
                "use a {} of namespace `{home}`, or have a platform administrator share it: \
                 OrgSharingPolicy from `{from}` to `{to}` with `{}`",
                reference.kind,
                excerpt(&shared_name(reference, namespace)),
            ),
            (Ownership::Unknown, _) | (_, Ownership::Unknown) => format!(
                "name an existing namespace; offline, add namespaces `{home}` and `{}` to the \
                 cluster files",
                excerpt(namespace)
            ),
            _ => format!("use a {} of namespace `{home}`", reference.kind),
        }
    }

    /// A label on the object itself must agree with its namespace. `owner` is `None` for a reference that stays at home.
    fn judge_label(
        &mut self,
        reference: &Reference,
        namespace: &str,
        owner: Option<&Ownership>,
        via: &Via<'_>,
    ) {
        let home = self.home.owner();
        let owner = owner.unwrap_or(home);
        let key = ObjectKey::new("", reference.kind.as_str(), namespace, &reference.name);
        let Some(object) = self.context.lookup(&key) else { return };
        if is_platform(home) {
            return;
        }
        let context = self.context;
        let differs = |label: &str| match (owner.organization(), home.organization()) {
            (Some(owner), _) if owner == label => false,
            (_, Some(to)) => !shared(context, label, to, &shared_name(reference, namespace)),
            (_, None) => true,
        };
        let wrong = labels(context.policy, object).into_iter().find(|l| differs(&l.organization));
        let Some(label) = wrong else { return };
        if matches!(owner, Ownership::Unknown) {
            self.found.ask(Question::Object(namespace_key(namespace)));
        }
        let message = format!(
            "{kind} `{namespace}/{name}`{via} has {by} `{organization}`, but namespace \
             `{namespace}` {owner}",
            kind = reference.kind,
            name = excerpt(&reference.name),
            namespace = excerpt(namespace),
            via = via.describe(),
            by = label.by,
            organization = excerpt(&label.organization),
        );
        let remedy = format!(
            "use a {} of the namespace's own organization, or correct the label",
            reference.kind
        );
        refuse(self.found, via.path(reference), message, remedy);
    }
}
