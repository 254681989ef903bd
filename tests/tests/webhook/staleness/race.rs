//! A role and a binding to an agent that are written one right after the other, in both orders, round after round: what an agent would hold in
//! the end is what is judged, however far the view is behind.

use pinfold_tests::until;

use super::behind_a_gate;
use crate::Outcome;
use crate::stage::{ROOT, SOON, Stage};

/// Below the ceiling, and beyond it.
const NARROW: &str = "[{apiGroups: [''], resources: [pods], verbs: [get]}]";
const WIDE: &str = "[{apiGroups: [''], resources: [pods], verbs: [get]}, {apiGroups: [''], resources: [secrets], verbs: [list]}]";
const AGENT: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: coder, namespace: STAGE-acme}, spec: {serviceAccountName: agent-coder}}";
const ROUNDS: u32 = 12;

fn role(name: &str, rules: &str) -> String {
    format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}, namespace: STAGE-acme}}, rules: {rules}}}\n---\n"
    )
}

fn binding(role: &str) -> String {
    format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: to-{role}, namespace: STAGE-acme}}, subjects: [{{kind: ServiceAccount, \
         name: agent-coder, namespace: STAGE-acme}}], roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role}}}}}"
    )
}

/// Roles of all rounds, in one go; waits until the view judges by them.
fn roles(stage: &Stage, rules: &str, passes: bool) -> Outcome {
    let all: String = (0..=ROUNDS).map(|round| role(&format!("r{round}"), rules)).collect();
    stage.server.apply(&stage.named(&all))?;
    let last = binding(&format!("r{ROUNDS}"));
    stage.until_tried(ROOT, &last, |answer| answer.success() == passes)?;
    Ok(())
}

#[test]
fn a_role_that_grew_a_moment_before_the_binding() -> Outcome {
    let (stage, _replica, gate) = behind_a_gate("grew", &[])?;
    stage.server.apply(&stage.named(AGENT))?;
    roles(&stage, NARROW, true)?;
    for round in 0..ROUNDS {
        // The view is behind for certain in every other round, and as it comes in the others.
        if round % 2 == 0 {
            gate.hold();
        }
        let name = format!("r{round}");
        stage.server.apply(&stage.named(&role(&name, WIDE)))?;
        let answer = stage.apply_as(ROOT, &binding(&name))?;
        gate.release();
        assert!(
            !answer.success() && answer.stderr.contains("PF-RBAC-00"),
            "round {round}: judged by an old role: {answer:?}"
        );
    }
    Ok(())
}

#[test]
fn a_role_that_shrank_a_moment_before_the_binding() -> Outcome {
    let (stage, replica, gate) = behind_a_gate("shrank", &[])?;
    stage.server.apply(&stage.named(AGENT))?;
    roles(&stage, WIDE, false)?;
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            gate.hold();
        }
        let name = format!("r{round}");
        stage.server.apply(&stage.named(&role(&name, NARROW)))?;
        let answer = stage.apply_as(ROOT, &binding(&name))?;
        gate.release();
        assert!(answer.success(), "round {round}: {answer:?}\n{}", replica.process.log());
    }
    Ok(())
}

/// The other order: the binding is there, and the role grows right after it. Here nothing can be read anew, because a binding is not known by its
/// name; so this holds as soon as the watch has told of the binding, which is what is measured.
#[test]
fn a_role_that_grows_a_moment_after_the_binding() -> Outcome {
    let (stage, replica) = Stage::open("grows")?;
    stage.server.apply(&stage.named(AGENT))?;
    roles(&stage, NARROW, true)?;
    for round in 0..ROUNDS {
        let name = format!("r{round}");
        let bound = stage.apply_as(ROOT, &binding(&name))?;
        assert!(bound.success(), "round {round}: {bound:?}");
        let grown = stage.apply_as(ROOT, &role(&name, WIDE))?;
        assert!(
            !grown.success() && grown.stderr.contains("PF-RBAC-005"),
            "round {round}: {grown:?}\n{}",
            replica.process.log()
        );
    }
    let held = || {
        let stored =
            stage.field(&["role", "r0", "-n", &stage.named("STAGE-acme")], ".rules").ok()?;
        (!stored.contains("secrets")).then_some(())
    };
    until(SOON, held).ok_or("the role grew all the same")?;
    Ok(())
}
