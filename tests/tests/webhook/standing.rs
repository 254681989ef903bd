//! What admission can't see: rights beyond a ceiling that were given while Pinfold was away are found, counted, told and recorded.

use pinfold_tests::until;

use crate::Outcome;
use crate::stage::{SOON, Stage};

/// Given while nobody judged it.
const BEFORE: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: coder, namespace: STAGE-acme}, spec: {serviceAccountName: agent-coder}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reads, namespace: STAGE-acme}, rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: to-all, namespace: STAGE-acme},
   subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: 'system:serviceaccounts:STAGE-acme'}],
   roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}}
";

#[test]
fn rights_that_were_given_while_nobody_judged_are_told() -> Outcome {
    let stage = Stage::prepare("standing")?;
    stage.server.apply(&stage.named(BEFORE))?;
    let replica = stage.open_with(&stage.flags())?;
    let told = stage.named("STAGE-acme/agent-coder` (named by AgentServiceAccount `STAGE-acme/coder`) holds `list` on `secrets`");
    let logged = until(SOON, || replica.process.log().contains(&told).then_some(()));
    logged.ok_or_else(|| format!("not told:\n{}", replica.process.log()))?;
    assert!(replica.count("pinfold_agent_identities_over_ceiling", &[])? >= 1.0);
    assert!(replica.count("pinfold_ceiling_oversteps_total", &[])? >= 1.0);

    let namespace = stage.named("STAGE-acme");
    let events = ["events", "-n", &namespace, "--field-selector", "reason=CeilingOverstepped"];
    let event = until(SOON, || {
        let message = stage.field(&events, ".items[*].message").ok()?;
        message.contains("RoleBinding `standing-acme/to-all`").then_some(())
    });
    event.ok_or("no Event on the binding")?;
    let recorded = until(SOON, || {
        let files = std::fs::read_dir(stage.audit()).ok()?.filter_map(Result::ok);
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        let mut lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.any(|line| line.contains("PF-RBAC-004") && line.contains("to-all")).then_some(())
    });
    recorded.ok_or("not in the audit ledger")?;
    Ok(())
}
