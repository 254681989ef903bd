//! Namespaces of an organization without agents: what could reach into another organization is asked about, and nothing else.

use pinfold_tests::{User, until};

use super::home::{Home, SOON};
use super::own::{asks, run};
use crate::Outcome;

/// What reaches into acme, from a namespace of beta that guards no agents. `NS` is the namespace.
#[rustfmt::skip]
const CROSSING: &[(&str, &str)] = &[
    ("an Ingress with a foreign certificate", "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: NS, annotations: {nginx.ingress.kubernetes.io/auth-tls-secret: acme/ca}}, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}"),
    ("an Ingress with a foreign Secret for TLS", "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: NS, annotations: {projectcontour.io/tls-cert-namespace: acme}}, spec: {tls: [{secretName: ca}], defaultBackend: {service: {name: s, port: {number: 80}}}}}"),
    ("a Secret that is filled from another", "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: NS, annotations: {replicator.v1.mittwald.de/replicate-from: acme/token}}}"),
    ("a ConfigMap that is filled from another", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS, annotations: {reflector.v1.k8s.emberstack.com/reflects: acme/settings}}}"),
    ("a Secret that is copied away", "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: NS, annotations: {replicator.v1.mittwald.de/replicate-to: acme}}}"),
];
const CLAIM: &str = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: NS}, spec: {volumeName: v, storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}";
/// What stays at home.
#[rustfmt::skip]
const AT_HOME: &[(&str, &str)] = &[
    ("a pod with Secrets of its own", "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: NS}, spec: {containers: [{name: c, image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}], volumes: [{name: v, secret: {secretName: s}}]}}"),
    ("a Deployment", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: NS}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, envFrom: [{secretRef: {name: s}}]}]}}}}"),
    ("a Secret", "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: NS, annotations: {a: b/c}}, stringData: {k: v}}"),
    ("a ConfigMap", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {k: v}}"),
    ("an Ingress", "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: NS, annotations: {nginx.ingress.kubernetes.io/auth-secret: login, nginx.ingress.kubernetes.io/rewrite-target: /}}, spec: {tls: [{secretName: own}], defaultBackend: {service: {name: s, port: {number: 80}}}}}"),
    ("a Service", "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: NS, annotations: {a: b/c}}, spec: {ports: [{port: 80}]}}"),
    ("a claim", "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: NS}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}"),
];
/// Who binds claims to volumes, everywhere and all day.
const BINDER: User<'_> = User {
    name: "system:serviceaccount:kube-system:persistent-volume-binder",
    groups: &["system:serviceaccounts:kube-system", "system:masters"],
};
const APPLY: &[&str] = &["apply", "-f", "-"];

fn prepare() -> Outcome<Home> {
    let home = Home::new()?;
    let labels = [
        ("older", "krate.a5c.ai/org: beta"),
        ("newer", "kradle.a5c.ai/org: beta"),
        ("free", "a: b"),
    ];
    for (name, labels) in labels {
        home.server.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}\n---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {name}}}}}"
        ))?;
    }
    Ok(home)
}

#[test]
fn what_could_reach_another_organization_is_asked_about() -> Outcome {
    let home = prepare()?;
    let replica = home.open(&home.flags("keep"))?;
    home.enforces()?;
    for namespace in ["older", "newer"] {
        let seen = until(SOON, || {
            let first = CROSSING.first()?.1.replace("NS", namespace);
            asks(&replica, || run(&home, None, &("", APPLY, &first))).ok()?.0.then_some(())
        });
        seen.ok_or_else(|| {
            format!("nothing is sent from {namespace}:\n{}", replica.process.log())
        })?;
        for (what, object) in CROSSING {
            let object = object.replace("NS", namespace);
            let (asked, answer) = asks(&replica, || run(&home, None, &(what, APPLY, &object)))?;
            let refused = !answer.success() && answer.stderr.contains("PF-SEC-001");
            assert!(asked && refused, "{what} in {namespace}: {answer:?}");
        }
        let claim = CLAIM.replace("NS", namespace);
        let (asked, answer) = asks(&replica, || run(&home, None, &("", APPLY, &claim)))?;
        assert!(asked, "a claim that chooses its volume: {answer:?}");
        let (asked, answer) = asks(&replica, || run(&home, Some(BINDER), &("", APPLY, &claim)))?;
        assert!(!asked && answer.success(), "the binder: {answer:?}");
        for (what, object) in AT_HOME {
            let object = object.replace("NS", namespace);
            let (asked, answer) = asks(&replica, || run(&home, None, &(what, APPLY, &object)))?;
            assert!(!asked && answer.success(), "{what} in {namespace}: {answer:?}");
        }
    }
    for (what, object) in CROSSING {
        let object = object.replace("NS", "free");
        let (asked, answer) = asks(&replica, || run(&home, None, &(what, APPLY, &object)))?;
        assert!(!asked && answer.success(), "{what} in a namespace of nobody: {answer:?}");
    }
    assert_daily_work_goes_on(&home, replica)
}

fn assert_daily_work_goes_on(home: &Home, replica: crate::replica::Replica) -> Outcome {
    drop(replica);
    home.service.route_to(&[]);
    for (what, object) in AT_HOME {
        let object = object.replace("NS", "older");
        let answer = run(home, None, &(what, APPLY, &object))?;
        assert!(answer.success(), "{what} waits for Pinfold: {answer:?}");
    }
    for (what, object) in CROSSING {
        let object = object.replace("NS", "older");
        let answer = run(home, None, &(what, APPLY, &object))?;
        assert!(answer.stderr.contains("failed calling webhook"), "{what} passes: {answer:?}");
    }
    Ok(())
}
