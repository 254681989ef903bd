//! Whether one grant fits: every dimension by itself, so that all that is lacking is told at once.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::{Grant, MountPolicy, RequiredApproval};
use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};

use super::subject::{self, Hit, Meeting};
use super::{Candidate, Case, approval, places, qualified, shown, words};
use crate::rbac::describe::list;

/// Seconds of a day.
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// The keys of a Secret that the kubelet pulls images with.
pub(super) const PULL_KEYS: [&str; 2] = [".dockerconfigjson", ".dockercfg"];

/// One thing that a grant lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The rule that it breaks.
    pub(super) rule: RuleId,
    /// To stand after the grant and "but".
    pub(super) why: String,
    /// What to do, beside another grant.
    pub(super) remedy: String,
    /// Whether another grant helps; not where this one waits for something that somebody wanted.
    pub(super) helps: bool,
}

/// Whether a denial is for this work and these keys. Nothing else narrows a denial: what isn't read as meant must not open anything.
pub(super) fn denies(case: &Case<'_, '_>, candidate: &Candidate<'_>) -> Option<Meeting> {
    let grant = candidate.grant;
    let over = grant.revoked || grant.expires_at.is_some_and(|end| case.now() >= end);
    let readable = grant.faults.is_empty();
    if readable && (over || grant.not_before.is_some_and(|begin| case.now() < begin)) {
        return None;
    }
    let touched = match case.need.keys {
        _ if !readable || grant.object.keys.is_empty() => true,
        Keys::All => true,
        Keys::Named(used) => {
            let denied: HashSet<&String> = grant.object.keys.iter().collect();
            used.iter().any(|key| denied.contains(key))
        }
    };
    let meeting = subject::matches(case, candidate);
    (touched && meeting.hit != Hit::No).then_some(meeting)
}

/// All that speaks against a grant, its subject aside.
pub(super) fn misfits(case: &Case<'_, '_>, candidate: &Candidate<'_>) -> Vec<Misfit> {
    let fit = Fit { case, grant: candidate.grant, candidate };
    let all = [
        fit.readable(),
        fit.home(),
        fit.organization(),
        fit.in_force(),
        fit.purpose(),
        fit.repository(),
        fit.git_ref(),
        fit.trigger(),
        fit.keys(),
        fit.mount(),
        fit.trust(),
        fit.approval(),
        fit.rotation(),
    ];
    all.into_iter().flatten().collect()
}

/// That untrusted work gets no Secret, where no grant says otherwise.
pub(super) fn untrusted(case: &Case<'_, '_>) -> Option<Misfit> {
    if case.bearer.trusted || case.need.kind != ReferenceKind::Secret {
        return None;
    }
    let why = format!(
        "the work is untrusted{}, and gets a Secret only by a grant with `allowUntrustedRefs: true`",
        because(case)
    );
    let remedy = "have a controller of `trust.controllers` make it for a run of a ref in `trust.trustedRefs`; or, \
                  if untrusted work may have this Secret, write `allowUntrustedRefs: true` into its grant"
        .to_owned();
    Some(Misfit { rule: RuleId::SEC_UNTRUSTED, why, remedy, helps: true })
}

/// Why the work isn't trusted, in parentheses.
pub(super) fn because(case: &Case<'_, '_>) -> String {
    match case.bearer.untrusted_because {
        "" => String::new(),
        reason => format!(" ({reason})"),
    }
}

struct Fit<'f, 'q, 'c> {
    case: &'f Case<'q, 'c>,
    candidate: &'f Candidate<'f>,
    grant: &'f Grant,
}

impl Fit<'_, '_, '_> {
    /// A misfit that another grant mends.
    fn lacks(&self, why: String) -> Option<Misfit> {
        let rule = self.case.rule();
        Some(Misfit { rule, why, remedy: String::new(), helps: true })
    }

    fn readable(&self) -> Option<Misfit> {
        let first = self.grant.faults.first()?;
        let mut lacks = self.lacks(format!("it can't be read, so it grants nothing: {first}"))?;
        "correct the grant".clone_into(&mut lacks.remedy);
        Some(lacks)
    }

    fn home(&self) -> Option<Misfit> {
        let key = self.candidate.key;
        if self.case.is_home(key) {
            return None;
        }
        let owner = self.case.owner(&key.namespace);
        self.lacks(format!("its namespace {owner}, which isn't the work's organization"))
    }

    fn organization(&self) -> Option<Misfit> {
        let said = self.grant.ties.organization.as_str();
        let known = self.case.bearer.organization;
        if said.is_empty() || known.is_none_or(|known| known == said) {
            return None;
        }
        self.lacks(format!("it says organization {}", shown(said)))
    }

    fn in_force(&self) -> Option<Misfit> {
        let now = self.case.now();
        if self.grant.revoked {
            return self.lacks("it is revoked".to_owned());
        }
        if let Some(end) = self.grant.expires_at.filter(|end| now >= *end) {
            return self.lacks(format!("it ended at {end}"));
        }
        let begin = self.grant.not_before.filter(|begin| now < *begin)?;
        self.lacks(format!("it begins at {begin}"))
    }

    fn purpose(&self) -> Option<Misfit> {
        let (granted, said) = (self.grant.purpose.as_str(), self.case.need.purpose?);
        if granted.is_empty() || granted == said {
            return None;
        }
        self.lacks(format!("its purpose is {}, and the work says {}", shown(granted), shown(said)))
    }

    fn repository(&self) -> Option<Misfit> {
        let bearer = self.case.bearer;
        let listed = &self.grant.repositories;
        let Some(repository) = bearer.repository else {
            return if listed.is_empty() {
                None
            } else {
                self.lacks(format!(
                    "it lists repositories ({}), and no record says which one the work is of",
                    list(listed.iter().map(String::as_str))
                ))
            };
        };
        let own = qualified(repository, bearer.organization);
        if listed.is_empty() {
            if self.case.is_of_organization(&own) {
                return None;
            }
            return self.lacks(format!(
                "it lists no repositories, so it is for those of its organization, and {} isn't one",
                shown(&own)
            ));
        }
        if listed.iter().any(|one| qualified(one, bearer.organization) == own) {
            return None;
        }
        let names = list(listed.iter().map(String::as_str));
        self.lacks(format!("it is for repositories {names}, not for {}", shown(&own)))
    }

    fn git_ref(&self) -> Option<Misfit> {
        let (included, excluded) = (&self.grant.refs_included, &self.grant.refs_excluded);
        let Some(git_ref) = self.case.bearer.git_ref else {
            return if included.is_empty() && excluded.is_empty() {
                None
            } else {
                self.lacks("it limits refs, and no record says which one the work is of".to_owned())
            };
        };
        if let Some(pattern) = excluded.iter().find(|one| places::excludes(one, git_ref)) {
            return self.lacks(format!(
                "it excludes refs {}, and so {}",
                shown(&pattern.text),
                shown(git_ref)
            ));
        }
        if included.is_empty() || included.iter().any(|one| places::includes(one, git_ref)) {
            return None;
        }
        let names = list(included.iter().map(|pattern| pattern.text.as_str()));
        let full = if places::is_full(git_ref) { "" } else { ", which is no full ref" };
        self.lacks(format!("it is for refs {names}, not for {}{full}", shown(git_ref)))
    }

    fn trigger(&self) -> Option<Misfit> {
        let listed = &self.grant.trigger_sources;
        if listed.is_empty() {
            return None;
        }
        let names = list(listed.iter().map(String::as_str));
        match self.case.bearer.trigger_source {
            None => self.lacks(format!(
                "it is for triggers {names}, and no record says what set the work off"
            )),
            Some(source) if listed.iter().any(|one| one == source) => None,
            Some(source) => {
                self.lacks(format!("it is for triggers {names}, not for {}", shown(source)))
            }
        }
    }

    fn keys(&self) -> Option<Misfit> {
        let listed = &self.grant.object.keys;
        if listed.is_empty() {
            return None;
        }
        let names = list(listed.iter().map(String::as_str));
        let used = match self.case.need.keys {
            Keys::All if self.case.need.mount == Some(Mount::ImagePull) => {
                let pulls = listed.iter().any(|key| PULL_KEYS.contains(&key.as_str()));
                return if pulls {
                    None
                } else {
                    self.lacks(format!("it lists keys {names}, none of which pulls images"))
                };
            }
            Keys::All => return self.whole(&names),
            Keys::Named(used) => used,
        };
        let known: HashSet<&String> = listed.iter().collect();
        let further = used.iter().filter(|key| !known.contains(key));
        let further: Vec<&str> = further.map(String::as_str).collect();
        if further.is_empty() {
            return None;
        }
        self.lacks(format!("it lists keys {names}, not {}", list(further)))
    }

    fn whole(&self, names: &str) -> Option<Misfit> {
        Some(Misfit {
            rule: RuleId::SEC_MOUNT,
            why: format!("it lists keys {names}, and the whole is used"),
            remedy: "name the keys: `valueFrom` instead of `envFrom`, `items` in a volume"
                .to_owned(),
            helps: true,
        })
    }

    fn mount(&self) -> Option<Misfit> {
        let wanted = match self.case.need.mount? {
            Mount::Env => MountPolicy::Env,
            Mount::File => MountPolicy::File,
            Mount::Projected => MountPolicy::ProjectedVolume,
            Mount::ByReference => MountPolicy::ByReference,
            Mount::ImagePull | Mount::Driver | Mount::Other => return None,
        };
        let allowed = &self.grant.mounts;
        if allowed.is_empty() || allowed.contains(&wanted) {
            return None;
        }
        let names = list(allowed.iter().map(|policy| words::policy(*policy)));
        let why = format!(
            "its `mountPolicy` is {names}, and the use is {}",
            shown(words::policy(wanted))
        );
        let remedy = "use it in the way that the grant says".to_owned();
        Some(Misfit { rule: RuleId::SEC_MOUNT, why, remedy, helps: true })
    }

    fn trust(&self) -> Option<Misfit> {
        untrusted(self.case).filter(|_| !self.grant.untrusted)
    }

    fn approval(&self) -> Option<Misfit> {
        let wanted = match self.grant.approval {
            RequiredApproval::Never => false,
            RequiredApproval::OnUntrustedRef => !self.case.bearer.trusted,
            RequiredApproval::Always => true,
        };
        let key = self.candidate.key;
        if !wanted || approval::is_given(self.case, key) {
            return None;
        }
        let why = "it waits for an AgentApproval that is approved and holds now".to_owned();
        let remedy = format!(
            "have an administrator, or one of `grants.approvers`, who didn't ask for it approve an AgentApproval in namespace {} with \
             `action.target: {}/{}`",
            shown(&key.namespace),
            key.kind,
            crate::rbac::describe::excerpt(&key.name)
        );
        Some(Misfit { rule: RuleId::SEC_UNTRUSTED, why, remedy, helps: false })
    }

    fn rotation(&self) -> Option<Misfit> {
        let days = self.grant.max_age_days?;
        let why = match self.grant.rotated_at {
            None => "nothing says when it was last rotated (`status.lastRotatedAt`)".to_owned(),
            Some(then) if then > self.case.now() => {
                format!("it says that it is rotated at {then}, which is still to come")
            }
            Some(then) if is_older(self.case.now(), then, days) => {
                format!("it was last rotated at {then}")
            }
            Some(_) => return None,
        };
        let why = format!("it must be rotated every {days} days, and {why}");
        let remedy =
            "rotate it, and have its controller note that in the grant's status".to_owned();
        Some(Misfit { rule: self.case.rule(), why, remedy, helps: false })
    }
}

/// Whether more than so many days have passed.
fn is_older(now: Timestamp, then: Timestamp, days: u32) -> bool {
    let most = SignedDuration::from_secs(i64::from(days).saturating_mul(DAY_SECONDS));
    now.duration_since(then) > most
}

impl Case<'_, '_> {
    /// Whether a repository is one of the work's organization: it says so itself, or a Repository object in one of its namespaces does.
    fn is_of_organization(&self, repository: &str) -> bool {
        let Some(organization) = self.bearer.organization else { return true };
        let (owner, name) = repository.rsplit_once('/').unwrap_or(("", repository));
        owner == organization
            || self.world.view.repositories(name).take(REPOSITORIES_MAX).any(|object| {
                self.owner(&object.key.namespace).organization() == Some(organization)
            })
    }
}

/// Most Repository objects of one name that are looked at.
const REPOSITORIES_MAX: usize = 64;
