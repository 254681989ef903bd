//! What holds for any grants: a denial only takes away, order means nothing, and what is proposed mends.

use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::{Cluster, bearer, cluster, run, spoken};
use crate::grants::{Bearer, Need, Verdict};

const SUBJECTS: [(&str, &str); 10] = [
    ("service-account", "coder"),
    ("service-account", "other"),
    ("agent-stack", "coder"),
    ("agent-stack", "other"),
    ("mcp-server", "github"),
    ("repository", "acme/api"),
    ("organization", "acme"),
    ("team", "core"),
    ("group", "core"),
    ("nonsense", "x"),
];

fn grant() -> impl Strategy<Value = Value> {
    let effect = select(vec!["allow", "allow", "allow", "deny"]);
    let keys = subsequence(vec!["k", "l"], 0..=2);
    let refs = subsequence(vec!["refs/heads/main", "dev", "refs/pull/*"], 0..=2);
    let without = subsequence(vec!["refs/heads/dev"], 0..=1);
    let repositories = subsequence(vec!["api", "globex/api"], 0..=2);
    let triggers = subsequence(vec!["manual", "comment"], 0..=2);
    let mounts = subsequence(
        vec!["env", "file", "projected-volume", "never-mount-pass-by-reference"],
        0..=2,
    );
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.1),
        select(vec!["never", "never", "always", "on-untrusted-ref"]),
    );
    let place = select(vec!["a", "a", "a2", "b"]);
    let parts = (effect, select(SUBJECTS.to_vec()), keys, refs, without, repositories);
    (parts, triggers, mounts, flags, place).prop_map(
        |(
            (effect, (kind, name), keys, refs, without, repositories),
            triggers,
            mounts,
            flags,
            place,
        )| {
            let (untrusted, revoked, approval) = flags;
            let name = if kind.contains("account") || kind.contains("stack") {
                format!("a/{name}")
            } else {
                name.to_owned()
            };
            json!({
                "apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentSecretGrant",
                "metadata": {"name": "g", "namespace": place},
                "spec": {
                    "effect": effect, "subject": {"kind": kind, "name": name},
                    "secretRef": {"namespace": "a", "name": "s", "keys": keys},
                    "allowedRefs": {"include": refs, "exclude": without},
                    "allowedRepositories": repositories, "allowedTriggerSources": triggers,
                    "mountPolicy": mounts, "allowUntrustedRefs": untrusted,
                    "requiredApproval": approval, "revoked": revoked,
                },
            })
        },
    )
}

/// Work and a use of Secret `a/s`, of which more or less is known.
#[derive(Debug, Clone)]
struct Asked {
    account: Option<&'static str>,
    stack: Option<&'static str>,
    labels: Vec<&'static str>,
    repository: Option<&'static str>,
    git_ref: Option<&'static str>,
    trigger: Option<&'static str>,
    trusted: bool,
    keys: Keys,
    mount: Option<Mount>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let account = select(vec![Some("coder"), Some("other"), None]);
    let stack = select(vec![Some("coder"), Some("other"), Some("narrow"), None]);
    let labels = subsequence(vec!["coder", "other"], 0..=1);
    let repository = select(vec![Some("acme/api"), Some("globex/api"), Some("api"), None]);
    let git_ref = select(vec![
        Some("refs/heads/main"),
        Some("refs/heads/dev"),
        Some("refs/pull/7/merge"),
        Some("main"),
        None,
    ]);
    let trigger = select(vec![Some("manual"), Some("comment"), None]);
    let keys = select(vec![Keys::All, super::named(&["k"]), super::named(&["k", "l"])]);
    let mount = select(vec![Some(Mount::Env), Some(Mount::File), Some(Mount::Other), None]);
    (account, stack, labels, repository, git_ref, trigger, any::<bool>(), keys, mount).prop_map(
        |(account, stack, labels, repository, git_ref, trigger, trusted, keys, mount)| Asked {
            account,
            stack,
            labels,
            repository,
            git_ref,
            trigger,
            trusted,
            keys,
            mount,
        },
    )
}

impl Asked {
    fn ask<T>(&self, tell: impl FnOnce(&Bearer<'_>, &Need<'_>) -> T) -> T {
        let run = run();
        let bearer = Bearer {
            service_account: self.account,
            stack: self.stack,
            stack_labels: &self.labels,
            repository: self.repository,
            git_ref: self.git_ref,
            trigger_source: self.trigger,
            trusted: self.trusted,
            ..bearer(&run)
        };
        let need = Need {
            kind: ReferenceKind::Secret,
            namespace: "a",
            name: "s",
            keys: &self.keys,
            mount: self.mount,
            purpose: None,
        };
        tell(&bearer, &need)
    }
}

fn with(grants: &[Value]) -> Cluster {
    let mut cluster = cluster("");
    for (number, grant) in grants.iter().enumerate() {
        cluster.apply(&numbered(grant, number));
    }
    cluster
}

fn numbered(grant: &Value, number: usize) -> Value {
    let mut grant = grant.clone();
    grant["metadata"]["name"] = format!("g{number}").into();
    grant
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_denial_only_takes_away(
        grants in prop::collection::vec(grant(), 0..5), extra in grant(), asked in asked(),
    ) {
        let before = with(&grants);
        let mut extra = numbered(&extra, 99);
        extra["spec"]["effect"] = "deny".into();
        let mut after = with(&grants);
        after.apply(&extra);
        let (before, after) = asked.ask(|bearer, need| {
            (before.resolve(bearer, need).allows(), after.resolve(bearer, need).allows())
        });
        prop_assert!(before || !after, "{}", extra);
    }

    #[test]
    fn a_label_only_takes_away(grants in prop::collection::vec(grant(), 0..5), asked in asked()) {
        let cluster = with(&grants);
        let without = Asked { labels: Vec::new(), ..asked.clone() };
        let allows = |asked: &Asked| asked.ask(|bearer, need| cluster.resolve(bearer, need).allows());
        prop_assert!(allows(&without) || !allows(&asked));
    }

    #[test]
    fn order_means_nothing(
        grants in prop::collection::vec(grant(), 0..6).prop_flat_map(|grants| {
            let numbered: Vec<Value> =
                grants.iter().enumerate().map(|(number, grant)| numbered(grant, number)).collect();
            (Just(numbered.clone()), Just(numbered).prop_shuffle())
        }),
        asked in asked(),
    ) {
        let answers = [grants.0, grants.1].map(|grants| {
            let mut cluster = cluster("");
            grants.iter().for_each(|grant| cluster.apply(grant));
            asked.ask(|bearer, need| format!("{:?}", cluster.resolve(bearer, need)))
        });
        prop_assert_eq!(&answers[0], &answers[1]);
    }

    #[test]
    fn what_is_proposed_mends(grants in prop::collection::vec(grant(), 0..5), asked in asked()) {
        let mut cluster = with(&grants);
        let suggestion = asked.ask(|bearer, need| match cluster.resolve(bearer, need) {
            Verdict::Refused(refused) => refused.suggestion,
            Verdict::NotNeeded | Verdict::Granted { .. } => None,
        });
        if let Some(suggestion) = suggestion {
            cluster.apply(&suggestion);
            let after = asked.ask(|bearer, need| spoken(&cluster.resolve(bearer, need)));
            prop_assert!(after.starts_with("by "), "{}: {}", after, suggestion);
        }
    }

    /// Knowing less never gives more.
    #[test]
    fn what_is_not_known_gives_nothing(
        grants in prop::collection::vec(grant(), 0..5), asked in asked(), which in 0..4_usize,
    ) {
        let cluster = with(&grants);
        let mut less = asked.clone();
        match which {
            0 => less.account = None,
            1 => less.git_ref = None,
            2 => less.trigger = None,
            _ => less.trusted = false,
        }
        let allows = |asked: &Asked| asked.ask(|bearer, need| cluster.resolve(bearer, need).allows());
        prop_assert!(allows(&asked) || !allows(&less));
    }
}
