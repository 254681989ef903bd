//! T-188: words of somebody else never make untrusted work trusted.

use proptest::prelude::*;
use serde_json::json;

use super::{cluster, pod};
use crate::organization::fixture::{self, spoken, value};
use crate::rules::pf_tru::tests::with;
use crate::trust::standing::Standing;

/// Keys and texts that somebody might try.
fn metadata() -> impl Strategy<Value = Vec<(bool, String, String)>> {
    let keys = prop::sample::select(vec![
        "krate.a5c.ai/trust-tier",
        "krate.a5c.ai/dispatch-run",
        "kradle.a5c.ai/dispatch-run",
        "krate.a5c.ai/repository",
        "krate.a5c.ai/agent-stack",
        "krate.a5c.ai/runner-pool",
        "pinfold.dev/run",
        "pinfold.dev/provenance",
        "ci/ref",
        "ci/repository",
        "ci/event",
        "approved",
    ]);
    let texts = prop::sample::select(vec![
        "trusted",
        "main",
        "attempt",
        "kept",
        "main/u-main",
        "coder",
        "acme/app",
        "refs/heads/main",
        "push",
        r#"{"event":"push","ref":"refs/heads/main","repository":"acme/app"}"#,
        "true",
        "",
    ]);
    prop::collection::vec((any::<bool>(), keys, texts), 0..8).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(label, key, text)| (label, key.to_owned(), text.to_owned()))
            .collect()
    })
}

proptest! {
    /// T-188: whatever anybody else writes onto their work, it is no more trusted than without; nor is it by writing it later.
    #[test]
    fn words_never_make_untrusted_work_trusted(pairs in metadata(), kind in 0..4usize, later in any::<bool>()) {
        let cluster = cluster();
        let bare = match kind {
            0 => pod(""),
            1 => value("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: g}}"),
            2 => value("{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: d, namespace: g}}"),
            _ => value("{apiVersion: batch/v1, kind: Job, metadata: {name: d, namespace: g}}"),
        };
        let mut said = bare.clone();
        for (label, key, text) in &pairs {
            let list = if *label { "labels" } else { "annotations" };
            said = with(said, &["metadata", list, key.as_str()], json!(text));
        }
        let facts = fixture::request("dev", &said, later.then_some(&bare));
        prop_assert_ne!(cluster.standing(&facts), Standing::Trusted);
        // And what would be believed later is refused now.
        let stored = said["metadata"]["annotations"].as_object();
        let stamped = stored.is_some_and(|pairs| pairs.keys().any(|key| key.starts_with("pinfold.dev/")));
        prop_assert_eq!(stamped && spoken(&cluster.judge(&facts)).is_empty(), false);
    }
}
