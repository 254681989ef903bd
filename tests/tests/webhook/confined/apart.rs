//! Two replicas that know different policies while a pod is made: what the one that lags wrote passes at the one that is ahead, and is brought up to date in seconds.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pinfold_tests::{TestAuthority, User, until};

use super::policy_push::{agents, all_have, cluster, logs};
use crate::Outcome;
use crate::registration::home::{Home, SOON};
use crate::registration::leading_to;
use crate::replica::Replica;
use crate::stage::replace;

const DEV: User<'_> = User { name: "dev", groups: &["acme:devs"] };
const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: NAME, namespace: acme}, spec: {serviceAccountName: default, securityContext: {runAsUser: 1000}, containers: [{name: c, image: 'r/a:1'}]}}";

/// A replica with policy files of its own.
fn replica(home: &Home, name: &str, push: &str) -> Outcome<Replica> {
    let policy = home.path(name);
    fs::create_dir(&policy)?;
    for file in fs::read_dir(home.path("policy"))? {
        let file = file?;
        fs::copy(file.path(), policy.join(file.file_name()))?;
    }
    fs::write(policy.join("agents.yaml"), agents("acme", "one.example"))?;
    let flags = crate::replica::Flags::default()
        .with("--policy", policy)
        .with("--kubeconfig", home.path("kubeconfig"))
        .with("--tls-cert", home.path("tls.crt"))
        .with("--tls-key", home.path("tls.key"))
        .with("--policy-push", push);
    Replica::start(&flags)
}

/// Has the API server ask one replica on `/mutate` and the other on `/validate`.
fn register(
    home: &Home,
    authority: &TestAuthority,
    [mutates, validates]: [&Replica; 2],
) -> Outcome {
    let mut text = leading_to(&home.server, "https://nobody")?;
    let bundle = BASE64_STANDARD.encode(authority.certificate_pem());
    for (path, replica) in [("mutate", mutates), ("validate", validates)] {
        let here =
            format!("\"caBundle\":\"{bundle}\",\"url\":\"https://{}/{path}\"", replica.listen);
        text = text.replace(&format!("\"url\":\"https://nobody/{path}\""), &here);
    }
    home.server.apply(&text)?;
    Ok(())
}

fn loaded(replica: &Replica, times: f64) -> Option<()> {
    let count = replica.count("pinfold_policy_reloads_total", &[("result", "success")]).ok()?;
    (count >= times).then_some(())
}

#[test]
fn a_pod_that_was_made_while_the_policy_changed_passes_and_follows() -> Outcome {
    let home = cluster(0)?;
    let authority = TestAuthority::new("apart")?;
    let serving = authority.serving(&["127.0.0.1"])?;
    fs::write(home.path("tls.crt"), serving.certificate_pem)?;
    fs::write(home.path("tls.key"), serving.key_pem)?;
    let lags = replica(&home, "lags", "off")?;
    let ahead = replica(&home, "ahead", "on")?;
    register(&home, &authority, [&lags, &ahead])?;
    home.enforces()?;

    replace(&home.path("ahead").join("agents.yaml"), &agents("acme", "two.example"))?;
    until(SOON, || loaded(&ahead, 1.0)).ok_or("the new policy isn't read")?;
    let both = [lags, ahead];
    let apply = |name: &str| {
        home.server.kubectl_as(DEV, &["create", "-f", "-"], &POD.replace("NAME", name))
    };
    let made = apply("amid")?;
    assert!(made.success(), "{made:?}\n{}", logs(&both));
    assert!(made.stderr.contains("the policy changed while the pod was made"), "{made:?}");
    until(SOON, || all_have(&home, 1, "two.example"))
        .ok_or_else(|| format!("it keeps the policy before:\n{}", logs(&both)))?;

    // The other way about nothing passes: who lags can't know what is newer.
    let [lags, ahead] = &both;
    register(&home, &authority, [ahead, lags])?;
    let refused = until(SOON, || {
        let answer = apply("newer").ok()?;
        answer.stderr.contains("PF-POD-001").then_some(answer)
    });
    assert!(refused.is_some(), "{}", logs(&both));
    Ok(())
}
