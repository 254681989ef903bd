//! For whom a grant is: its subject against whose work it is, and where that stands in the order of precedence.

use pinfold_model::object::agent::{AgentStack, GrantSubject};
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};

use super::accounts::identities;
use super::{Candidate, Case, Step, lookup, qualified};

/// Whether a grant is for a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hit {
    Yes,
    No,
    /// Nobody can tell: no grant, but a denial.
    Unknown,
}

impl Hit {
    fn of(known: Option<bool>) -> Self {
        match known {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }

    /// Both must hold.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

/// How a grant's subject meets a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) hit: Hit,
    pub(super) step: Step,
}

/// The kinds of subjects, whatever their spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Account,
    AgentAccount,
    Run,
    User,
    Group,
    Stack,
    /// The kind of the object.
    Capability(&'static str),
    Repository,
    Team,
    Pool,
    Organization,
}

/// The kind that a text means: `agent-stack`, `AgentStack` and `agentstack` are one.
fn kind_of(subject: &GrantSubject) -> Option<Kind> {
    let plain: String = subject.kind.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match plain.to_ascii_lowercase().as_str() {
        "" if !subject.kind.is_empty() => return None,
        "" if !subject.service_account.is_empty() => Kind::Account,
        "" if !subject.stack.is_empty() => Kind::Stack,
        "serviceaccount" => Kind::Account,
        "agentserviceaccount" => Kind::AgentAccount,
        "run" | "dispatchrun" | "agentdispatchrun" => Kind::Run,
        "user" => Kind::User,
        "group" => Kind::Group,
        "stack" | "agentstack" => Kind::Stack,
        "toolprofile" | "agenttoolprofile" => Kind::Capability("AgentToolProfile"),
        "mcpserver" | "agentmcpserver" => Kind::Capability("AgentMcpServer"),
        "skill" | "agentskill" => Kind::Capability("AgentSkill"),
        "subagent" | "agentsubagent" => Kind::Capability("AgentSubagent"),
        "repository" => Kind::Repository,
        "team" => Kind::Team,
        "runnerpool" | "pool" => Kind::Pool,
        "organization" | "org" => Kind::Organization,
        _ => return None,
    })
}

fn step_of(kind: Kind) -> Step {
    match kind {
        Kind::Account | Kind::AgentAccount | Kind::Run | Kind::User | Kind::Group => Step::Subject,
        Kind::Stack => Step::Stack,
        Kind::Capability(_) => Step::Capability,
        Kind::Repository | Kind::Team | Kind::Pool => Step::Repository,
        Kind::Organization => Step::Organization,
    }
}

/// How a grant's subject meets the work.
pub(super) fn matches(case: &Case<'_, '_>, candidate: &Candidate<'_>) -> Meeting {
    let subject = &candidate.grant.subject;
    let Some(kind) = kind_of(subject) else {
        return Meeting { hit: Hit::Unknown, step: Step::NoGrant };
    };
    let own = candidate.key.namespace.as_str();
    let own = if subject.namespace.is_empty() { own } else { &subject.namespace };
    let look = Look { case, own };
    let mut hit = look.named(kind, subject);
    if kind != Kind::Account && !subject.service_account.is_empty() {
        hit = hit.and(look.account(&subject.service_account));
    }
    if kind != Kind::Stack && !subject.stack.is_empty() {
        hit = hit.and(look.stack(&subject.stack));
    }
    Meeting { hit, step: step_of(kind) }
}

#[derive(Clone, Copy)]
struct Look<'l, 'q, 'c> {
    case: &'l Case<'q, 'c>,
    /// The namespace that names of the subject are in.
    own: &'l str,
}

impl Look<'_, '_, '_> {
    fn named(&self, kind: Kind, subject: &GrantSubject) -> Hit {
        let bearer = self.case.bearer;
        let name = match subject.name.as_str() {
            "" if kind == Kind::Account => subject.service_account.as_str(),
            "" if kind == Kind::Stack => subject.stack.as_str(),
            name => name,
        };
        let is = |known: Option<&str>| Hit::of(known.map(|known| known == name));
        match kind {
            Kind::Organization if name.is_empty() => Hit::of(bearer.organization.map(|_| true)),
            // A subject without a name could be anybody.
            _ if name.is_empty() => Hit::Unknown,
            Kind::Account => self.account(name),
            Kind::AgentAccount => Hit::of(self.agent_account(name)),
            Kind::Run => self.run(name),
            Kind::User => is(bearer.user),
            Kind::Group => Hit::Unknown,
            Kind::Stack => self.stack(name),
            Kind::Capability(kind) => self.capability(kind, name),
            Kind::Repository => Hit::of(bearer.repository.map(|known| {
                qualified(known, bearer.organization) == qualified(name, bearer.organization)
            })),
            Kind::Team => is(bearer.team),
            Kind::Pool => Hit::of(bearer.pool.map(|known| self.same(known, name))),
            Kind::Organization => is(bearer.organization),
        }
    }

    /// Whether a name of the bearer's and one of the subject's are of one object.
    fn same(&self, of_bearer: &str, of_subject: &str) -> bool {
        let place = self.case.bearer.namespace;
        of_bearer.split_once('/').unwrap_or((place, of_bearer)) == self.split(of_subject)
    }

    fn split<'t>(&'t self, name: &'t str) -> (&'t str, &'t str) {
        name.split_once('/').unwrap_or((self.own, name))
    }

    /// A ServiceAccount by its name. An AgentServiceAccount of that name could be meant, which is enough for a denial.
    fn account(&self, name: &str) -> Hit {
        let by_name = Hit::of(self.case.bearer.service_account.map(|known| self.same(known, name)));
        match by_name {
            Hit::No if self.agent_account(name) == Some(true) => Hit::Unknown,
            Hit::Yes | Hit::No | Hit::Unknown => by_name,
        }
    }

    /// Whether an AgentServiceAccount stands for the ServiceAccount, if that can be told.
    fn agent_account(&self, name: &str) -> Option<bool> {
        let account = (self.case.bearer.namespace, self.case.bearer.service_account?);
        let (namespace, name) = self.split(name);
        let mut records = identities(self.case.world, namespace, name).peekable();
        records.peek()?;
        let mut all =
            records.map(|record| (record.namespace.as_str(), record.service_account.as_str()));
        Some(all.any(|one| one == account))
    }

    fn run(&self, name: &str) -> Hit {
        let Some(run) = self.case.bearer.run else { return Hit::No };
        Hit::of(Some(self.split(name) == (run.namespace.as_str(), run.name.as_str())))
    }

    /// A stack by its record. What the work says itself only makes a denial likelier; and so does a stack of its ServiceAccount, because whoever
    /// writes stacks could otherwise get rid of a denial by a stack of another name.
    fn stack(&self, name: &str) -> Hit {
        let bearer = self.case.bearer;
        let (_, plain) = self.split(name);
        let says_so = bearer.stack_labels.contains(&plain);
        match bearer.stack {
            Some(known) if self.same(known, name) => Hit::Yes,
            Some(_) if !bearer.stack_by_account && !says_so => Hit::No,
            Some(_) | None => Hit::Unknown,
        }
    }

    /// A capability: the one that needs it, or for a pod one of its stack's.
    fn capability(&self, kind: &'static str, name: &str) -> Hit {
        if let Some((known, of_bearer)) = self.case.bearer.capability {
            return Hit::of(Some(known == kind && self.same(of_bearer, name)));
        }
        let wanted = self.split(name);
        let has = |(key, stack): &(&ObjectKey, &AgentStack)| {
            let named = stack.ties.references.iter().any(|reference| {
                let place = &reference.namespace;
                let place = if place.is_empty() { &key.namespace } else { place };
                reference.kind == kind && (place.as_str(), reference.name.as_str()) == wanted
            });
            if named { self.admits(kind, wanted, key) } else { Hit::No }
        };
        let hit = self.case.stacks.iter().map(has).fold(Hit::No, Hit::or);
        let by_record = !self.case.stacks.is_empty() && !self.case.bearer.stack_by_account;
        if hit == Hit::No && !by_record { Hit::Unknown } else { hit }
    }

    /// Whether a capability lets a stack have it: naming somebody's MCP server in a stack of one's own is no way to its Secrets.
    fn admits(&self, kind: &str, (namespace, name): (&str, &str), stack: &ObjectKey) -> Hit {
        let full = format!("{}/{}", stack.namespace, stack.name);
        let listed = |facts: &Facts| {
            let Facts::Capability(capability) = facts else { return false };
            capability.allowed_stacks.as_ref().is_none_or(|allowed| {
                let own = stack.namespace == namespace;
                allowed.iter().any(|one| *one == full || (own && *one == stack.name))
            })
        };
        let admits = self.objects(kind, namespace, name).all(listed);
        if admits { Hit::Yes } else { Hit::Unknown }
    }

    fn objects(&self, kind: &str, namespace: &str, name: &str) -> impl Iterator<Item = &Facts> {
        let keys = AGENT_GROUPS.map(|group| ObjectKey::new(group, kind, namespace, name));
        keys.into_iter().filter_map(|key| lookup(self.case.world, &key).map(|found| &found.facts))
    }
}
