//! Kinds that name Secrets or ConfigMaps and run nothing.

use serde_json::{Value, json};

use super::{at_path, object, references};
use crate::object::Facts;

pub(super) const VOLUME_FIELDS: [(&str, &str); 13] = [
    ("azureFile", "secretName"),
    ("cephfs.secretRef", "name"),
    ("cinder.secretRef", "name"),
    ("flexVolume.secretRef", "name"),
    ("rbd.secretRef", "name"),
    ("scaleIO.secretRef", "name"),
    ("iscsi.secretRef", "name"),
    ("storageos.secretRef", "name"),
    ("csi.controllerPublishSecretRef", "name"),
    ("csi.nodeStageSecretRef", "name"),
    ("csi.nodePublishSecretRef", "name"),
    ("csi.controllerExpandSecretRef", "name"),
    ("csi.nodeExpandSecretRef", "name"),
];

fn volume(version: &str, kind: &str, below: &str, field: &str, leaf: Value) -> Value {
    let mut manifest = at_path(&format!("{below}.{field}"), leaf);
    manifest["apiVersion"] = json!(version);
    manifest["kind"] = json!(kind);
    manifest
}

#[test]
fn persistent_volumes_and_attachments_name_secrets_with_their_namespaces() {
    let kinds = [
        ("v1", "PersistentVolume", "spec"),
        ("storage.k8s.io/v1", "VolumeAttachment", "spec.source.inlineVolumeSpec"),
    ];
    for (version, kind, below) in kinds {
        for (field, name) in VOLUME_FIELDS {
            let namespace = if field == "azureFile" { "secretNamespace" } else { "namespace" };
            let found = |leaf| references(&volume(version, kind, below, field, leaf));
            let path = format!("$.{below}.{field}.{name}");
            let named = found(json!({ name: "s", namespace: "team-b" }));
            assert_eq!(named, [format!("Secret team-b/s at {path}")], "{kind}");
            assert_eq!(found(json!({ name: "s" })), [format!("Secret /s at {path}")], "{kind}");
        }
    }
}

#[test]
fn a_volume_belongs_to_its_claim() {
    let manifest = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"annotations": {
        "volume.kubernetes.io/provisioner-deletion-secret-name": "d",
        "volume.kubernetes.io/provisioner-deletion-secret-namespace": "team-b"}},
        "spec": {"claimRef": {"namespace": "team-a", "name": "data"}}});
    let path = "$.metadata.annotations['volume.kubernetes.io/provisioner-deletion-secret-name']";
    assert_eq!(references(&manifest), [format!("Secret team-b/d at {path}")]);
    let Facts::Referrer(found) = object(&manifest).facts else { panic!("a referrer") };
    assert_eq!(found.claim, Some(("team-a".to_owned(), "data".to_owned())));
}

#[test]
fn claims() {
    let manifest = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {
        "volumeName": "pv", "storageClassName": "fast", "dataSource": {"name": "x"},
        "dataSourceRef": {"name": "x", "namespace": "team-b"}}});
    let Facts::Referrer(found) = object(&manifest).facts else { panic!("a referrer") };
    let shown = [&found.volume_name, &found.storage_class, &found.data_source_namespace];
    assert_eq!(shown, ["pv", "fast", "team-b"]);
}

#[test]
fn parameters_of_classes() {
    let prefix = "csi.storage.k8s.io";
    let cases: [(Value, &[&str]); 8] = [
        (
            json!({format!("{prefix}/provisioner-secret-name"): "s", format!("{prefix}/provisioner-secret-namespace"): "team-b"}),
            &["Secret team-b/s at $.parameters['csi.storage.k8s.io/provisioner-secret-name']"],
        ),
        (
            json!({format!("{prefix}/node-stage-secret-name"): "${pvc.name}", format!("{prefix}/node-stage-secret-namespace"): "${pvc.namespace}"}),
            &[
                "Secret ${pvc.namespace}/${pvc.name} at $.parameters['csi.storage.k8s.io/node-stage-secret-name']",
            ],
        ),
        (
            json!({"csiProvisionerSecretName": "s", "csiProvisionerSecretNamespace": "team-b"}),
            &["Secret team-b/s at $.parameters.csiProvisionerSecretName"],
        ),
        (
            json!({"adminSecretName": "a", "adminSecretNamespace": "kube-system", "userSecretName": "u"}),
            &[
                "Secret kube-system/a at $.parameters.adminSecretName",
                "Secret /u at $.parameters.userSecretName",
            ],
        ),
        (
            json!({"SECRETNAME": "a", "secretnamespace": "team-b"}),
            &["Secret team-b/a at $.parameters.SECRETNAME"],
        ),
        (
            json!({"secretRef": "sio", "secretNamespace": "team-b"}),
            &["Secret team-b/sio at $.parameters.secretRef"],
        ),
        (json!({"secretNamespace": "team-b"}), &["Secret team-b/ at $.parameters.secretNamespace"]),
        (json!({"type": "gp3", "secret": "no"}), &[]),
    ];
    let kinds = [
        ("storage.k8s.io/v1", "StorageClass"),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass"),
        ("groupsnapshot.storage.k8s.io/v1beta1", "VolumeGroupSnapshotClass"),
    ];
    for (version, kind) in kinds {
        for (parameters, expected) in &cases {
            let manifest = json!({"apiVersion": version, "kind": kind, "parameters": parameters});
            assert_eq!(&references(&manifest), expected, "{kind} {parameters}");
        }
    }
}

/// A pod of 1 MiB may carry this many: each must be looked at once, not once for each other.
#[test]
fn many_parameters_cost_no_more_than_each_of_them() {
    const PAIRS: usize = 20_000;
    let pairs = (0..PAIRS).flat_map(|n| {
        [
            (format!("k{n}SecretName"), json!("s")),
            (format!("K{n}secretnamespace"), json!(format!("ns{n}"))),
        ]
    });
    let attributes: serde_json::Map<String, Value> = pairs.collect();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"csi": {"volumeAttributes": attributes}}]}});
    let began = std::time::Instant::now();
    let found = references(&pod);
    // A fraction of a second on any machine; the square of it took minutes.
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(found.len(), PAIRS, "each with its own namespace");
    let expected = "Secret ns7/s at $.spec.volumes[0].csi.volumeAttributes.k7SecretName";
    assert!(found.iter().any(|one| one == expected));
}

#[test]
fn identities_ingresses_and_copies() {
    let annotated = |version: &str, kind: &str, key: &str, value: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"annotations": {key: value}}});
    let at = |key: &str| format!("$.metadata.annotations['{key}']");
    let nginx = "nginx.ingress.kubernetes.io";
    let mut cases = vec![
        (
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "a", "namespace": "x"}], "imagePullSecrets": [null, {"name": "b"}]}),
            vec![
                "Secret /a at $.secrets[0].name".to_owned(),
                "Secret /b at $.imagePullSecrets[1].name".to_owned(),
            ],
        ),
        (
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": {"kind": "Secret", "name": "a"}}}),
            vec!["Secret /a at $.spec.boundObjectRef.name".to_owned()],
        ),
        (
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": {"kind": "Pod", "name": "a"}}}),
            Vec::new(),
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"}),
            Vec::new(),
        ),
    ];
    for version in ["networking.k8s.io/v1", "extensions/v1beta1"] {
        let tls = json!({"apiVersion": version, "kind": "Ingress", "spec": {"tls": [{}, {"secretName": "a"}]}});
        cases.push((tls, vec!["Secret /a at $.spec.tls[1].secretName".to_owned()]));
        for (name, what) in [
            ("auth-secret", "Secret"),
            ("auth-tls-secret", "Secret"),
            ("proxy-ssl-secret", "Secret"),
            ("auth-proxy-set-headers", "ConfigMap"),
            ("custom-headers", "ConfigMap"),
            ("fastcgi-params-configmap", "ConfigMap"),
        ] {
            let key = format!("{nginx}/{name}");
            let own = annotated(version, "Ingress", &key, "a");
            cases.push((own, vec![format!("{what} /a at {}", at(&key))]));
            let other = annotated(version, "Ingress", &key, "team-b/a");
            cases.push((other, vec![format!("{what} team-b/a at {}", at(&key))]));
        }
    }
    for key in
        ["replicator.v1.mittwald.de/replicate-from", "reflector.v1.k8s.emberstack.com/reflects"]
    {
        for kind in ["Secret", "ConfigMap"] {
            let copy = annotated("v1", kind, key, "team-b/a");
            cases.push((copy, vec![format!("{kind} team-b/a at {}", at(key))]));
        }
    }
    for (manifest, expected) in cases {
        assert_eq!(references(&manifest), expected, "{manifest}");
    }
}

#[test]
fn well_known_custom_kinds() {
    let gateway = json!({"listeners": [{"tls": {
        "certificateRefs": [{"name": "a"}, {"name": "b", "namespace": "team-b", "kind": "Secret", "group": ""}, {"name": "c", "group": "x.io", "kind": "Cert"}],
        "frontendValidation": {"caCertificateRefs": [{"kind": "ConfigMap", "name": "d", "namespace": "team-b", "group": ""}]}}}],
        "backendTLS": {"clientCertificateRef": {"name": "e"}}});
    let cases: [(&str, &str, Value, &[&str]); 5] = [
        (
            "gateway.networking.k8s.io/v1",
            "Gateway",
            gateway,
            &[
                "Secret /a at $.spec.listeners[0].tls.certificateRefs[0].name",
                "Secret team-b/b at $.spec.listeners[0].tls.certificateRefs[1].name",
                "ConfigMap team-b/d at $.spec.listeners[0].tls.frontendValidation.caCertificateRefs[0].name",
                "Secret /e at $.spec.backendTLS.clientCertificateRef.name",
            ],
        ),
        (
            "cert-manager.io/v1",
            "Certificate",
            json!({"secretName": "a"}),
            &["Secret /a at $.spec.secretName"],
        ),
        (
            "external-secrets.io/v1",
            "ExternalSecret",
            json!({"target": {"name": "a"}}),
            &["Secret /a at $.spec.target.name"],
        ),
        (
            "secrets-store.csi.x-k8s.io/v1",
            "SecretProviderClass",
            json!({"secretObjects": [{"secretName": "a"}]}),
            &["Secret /a at $.spec.secretObjects[0].secretName"],
        ),
        (
            "bitnami.com/v1alpha1",
            "SealedSecret",
            json!({"template": {"metadata": {"name": "a", "namespace": "team-b"}}}),
            &["Secret team-b/a at $.spec.template.metadata.name"],
        ),
    ];
    for (version, kind, spec, expected) in cases {
        let manifest = json!({"apiVersion": version, "kind": kind, "spec": spec});
        assert_eq!(references(&manifest), expected, "{kind}");
    }
}

#[test]
fn what_is_called_like_a_reference_and_names_none() {
    let volumes = json!([
        {"name": "i", "image": {"reference": "registry.example/data:1"}},
        {"name": "c", "cephfs": {"secretFile": "/etc/ceph/secret"}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"clusterTrustBundle": {"name": "b", "path": "p"}}, null]}},
        {"name": "d", "csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "c"}}},
        {"name": "e", "emptyDir": {}}, null]);
    let env = json!([{"name": "K", "valueFrom": {"fileKeyRef": {"volumeName": "e", "path": "f", "key": "k"}}}, {"name": "V", "value": "secretKeyRef"}, null]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}},
        "spec": {"containers": [{"env": env}, null], "volumes": volumes}});
    assert_eq!(references(&pod), [""; 0]);
    let driver = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "spec": {"serviceAccountTokenInSecrets": true}});
    assert_eq!(object(&driver).facts, Facts::MetaOnly);
}
