//! Cases of PF-SEC-001: attacks with the path that is refused, and their honest twins.

use pinfold_model::facts::Question;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use crate::organization::fixture::{self, object, request, spoken, value};
use crate::organization::namespace_key;

/// `a` and `a2` are of acme, `b` is of beta; `free` is nobody's, `torn` is disputed; `kube-system` is the platform's.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: a2, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Namespace, metadata: {name: free}}
{apiVersion: v1, kind: Namespace, metadata: {name: free2}}
{apiVersion: v1, kind: Namespace, metadata: {name: torn, labels: {krate.a5c.ai/org: acme, kradle.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
{apiVersion: v1, kind: Secret, metadata: {name: own, namespace: a, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Secret, metadata: {name: foreign, namespace: a, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Secret, metadata: {name: lent, namespace: a, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: ConfigMap, metadata: {name: foreign-config, namespace: a, labels: {kradle.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Secret, metadata: {name: foreign, namespace: a2, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Secret, metadata: {name: strange, namespace: free, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Secret, metadata: {name: strange, namespace: nowhere, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Secret, metadata: {name: kept, namespace: kube-system, labels: {krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: honest, namespace: a}, imagePullSecrets: [{name: own}]}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: borrowed, namespace: a}, secrets: [{name: own}], imagePullSecrets: [{name: foreign}]}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: a}, secrets: [{name: own}]}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {name: s}, spec: {sourceOrg: beta, targetOrg: acme, allowedRefs: [Secret/b/shared, Secret/a/lent]}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: good, namespace: a}, spec: {volumeName: pv-good}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: bad, namespace: a}, spec: {volumeName: pv-bad}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: gone, namespace: a}, spec: {volumeName: pv-gone}}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv-good}, spec: {claimRef: {namespace: a, name: good}, csi: {nodeStageSecretRef: {name: driver, namespace: kube-system}, nodePublishSecretRef: {name: own, namespace: a}}}}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv-bad}, spec: {claimRef: {namespace: a, name: bad}, rbd: {secretRef: {name: ceph, namespace: b}}}}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv-of-b}, spec: {claimRef: {namespace: b, name: data}, azureFile: {secretName: key}}}
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: class-good}, parameters: {csi.storage.k8s.io/node-stage-secret-name: s, csi.storage.k8s.io/node-stage-secret-namespace: '${pvc.namespace}'}}
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: class-platform}, parameters: {adminSecretName: s, adminSecretNamespace: kube-system}}
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: class-b}, parameters: {adminSecretName: s, adminSecretNamespace: b}}
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: class-template}, parameters: {csi.storage.k8s.io/provisioner-secret-name: s, csi.storage.k8s.io/provisioner-secret-namespace: \"${pvc.annotations['team']}\"}}
";

const POLICY: &str = "
references:
- match: {apiGroups: [example.io], kinds: [Widget]}
  kind: Secret
  name: $.spec.creds.secretName
- match: {apiGroups: [example.io], kinds: [Source, ClusterSource]}
  kind: Secret
  name: $.spec.refs[*].name
  namespace: $.spec.refs[*].namespace
- match: {apiGroups: [example.io], kinds: [Split]}
  kind: ConfigMap
  name: $.spec.config.name
  namespace: $.spec.target.namespace
- match: {apiGroups: [example.io], kinds: [Deep]}
  kind: Secret
  name: $..secretName
";

mod ways;

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn cluster() -> Cluster {
    Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, new: &Value, old: Option<&Value>) -> crate::context::Found {
        fixture::found(super::judge, &request("dev", new, old), &self.view, &self.policy)
    }

    /// Rows of `MANIFEST => PATH...`; nothing after the arrow is an honest one.
    fn check(&self, rows: &str) -> usize {
        let rows: Vec<&str> = rows.lines().map(str::trim).filter(|row| !row.is_empty()).collect();
        for row in &rows {
            let (manifest, expected) = row.split_once("=>").expect("an arrow");
            let found = self.judge(&value(manifest.trim()), None);
            let expected: Vec<String> =
                expected.split_whitespace().map(|path| format!("PF-SEC-001 {path}")).collect();
            assert_eq!(spoken(&found), expected, "{row}\n{found:?}");
        }
        rows.len()
    }
}

#[test]
fn pods_and_what_they_lead_to() {
    let rows = "
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{secret: {secretName: own}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{secret: {secretName: not-there}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{secret: {secretName: foreign}}]}} => $.spec.volumes[0].secret.secretName
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{secret: {secretName: foreign, optional: true}}]}} => $.spec.volumes[0].secret.secretName
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{secret: {secretName: lent}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{projected: {sources: [{configMap: {name: foreign-config}}]}}]}} => $.spec.volumes[0].projected.sources[0].configMap.name
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {containers: [{envFrom: [{secretRef: {name: foreign}}]}]}} => $.spec.containers[0].envFrom[0].secretRef.name
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {initContainers: [{env: [{valueFrom: {secretKeyRef: {name: foreign, key: k}}}]}]}} => $.spec.initContainers[0].env[0].valueFrom.secretKeyRef.name
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {ephemeralContainers: [{envFrom: [{configMapRef: {name: foreign-config}}]}]}} => $.spec.ephemeralContainers[0].envFrom[0].configMapRef.name
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {imagePullSecrets: [{name: own}, {name: foreign}]}} => $.spec.imagePullSecrets[1].name
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {serviceAccountName: honest}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {serviceAccountName: borrowed}} => $.spec.serviceAccountName
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {serviceAccount: borrowed}} => $.spec.serviceAccountName
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {serviceAccountName: not-there}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{persistentVolumeClaim: {claimName: good}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{persistentVolumeClaim: {claimName: bad}}]}} => $.spec.volumes[0].persistentVolumeClaim.claimName
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{persistentVolumeClaim: {claimName: gone}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{persistentVolumeClaim: {claimName: not-there}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{ephemeral: {volumeClaimTemplate: {spec: {storageClassName: class-b}}}}]}} => $.spec.volumes[0].ephemeral.volumeClaimTemplate.spec.storageClassName
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{ephemeral: {volumeClaimTemplate: {spec: {storageClassName: class-good}}}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{csi: {driver: file.csi.azure.com, volumeAttributes: {secretName: k, secretNamespace: b}}}]}} => $.spec.volumes[0].csi.volumeAttributes.secretName
{apiVersion: v1, kind: Pod, metadata: {namespace: free}, spec: {volumes: [{secret: {secretName: mine}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: free}, spec: {volumes: [{secret: {secretName: strange}}]}} => $.spec.volumes[0].secret.secretName
{apiVersion: v1, kind: Pod, metadata: {namespace: nowhere}, spec: {volumes: [{secret: {secretName: mine}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: nowhere}, spec: {volumes: [{secret: {secretName: strange}}]}} => $.spec.volumes[0].secret.secretName
{apiVersion: v1, kind: Pod, metadata: {namespace: kube-system}, spec: {volumes: [{secret: {secretName: kept}}]}} =>
{apiVersion: v1, kind: Pod, metadata: {namespace: torn}, spec: {volumes: [{secret: {secretName: mine}}]}} => $.metadata.namespace
{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: a}, spec: {template: {spec: {volumes: [{secret: {secretName: foreign}}]}}}} => $.spec.template.spec.volumes[0].secret.secretName
{apiVersion: extensions/v1beta1, kind: DaemonSet, metadata: {namespace: a}, spec: {template: {spec: {imagePullSecrets: [{name: foreign}]}}}} => $.spec.template.spec.imagePullSecrets[0].name
{apiVersion: batch/v1, kind: CronJob, metadata: {namespace: a}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{envFrom: [{secretRef: {name: foreign}}]}]}}}}}} => $.spec.jobTemplate.spec.template.spec.containers[0].envFrom[0].secretRef.name
{apiVersion: batch/v1, kind: Job, metadata: {namespace: a}, spec: {template: {spec: {containers: [{envFrom: [{secretRef: {name: own}}]}]}}}} =>
{apiVersion: v1, kind: PodTemplate, metadata: {namespace: a}, template: {spec: {serviceAccountName: borrowed}}} => $.template.spec.serviceAccountName
{apiVersion: v1, kind: ReplicationController, metadata: {namespace: a}, spec: {}} =>
{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: a}, spec: {volumeClaimTemplates: [{spec: {storageClassName: class-template}}]}} => $.spec.volumeClaimTemplates[0].spec.storageClassName
{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: a}, spec: {volumeClaimTemplates: [{spec: {volumeName: pv-bad}}]}} => $.spec.volumeClaimTemplates[0].spec.volumeName
{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: a}, spec: {volumeClaimTemplates: [{spec: {dataSourceRef: {name: s, namespace: b}}}]}} => $.spec.volumeClaimTemplates[0].spec.dataSourceRef.namespace
";
    assert!(cluster().check(rows) >= 36);
}

#[test]
fn storage_and_other_kinds() {
    let rows = "
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {volumeName: pv-bad}} => $.spec.volumeName
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {volumeName: pv-of-b}} => $.spec.volumeName
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: b}, spec: {volumeName: pv-of-b}} =>
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {storageClassName: class-b}} => $.spec.storageClassName
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: b}, spec: {storageClassName: class-b}} =>
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {storageClassName: class-platform}} =>
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a, annotations: {volume.beta.kubernetes.io/storage-class: class-b}}, spec: {storageClassName: class-good}} => $.spec.storageClassName
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {dataSourceRef: {name: s, namespace: b}}} => $.spec.dataSourceRef.namespace
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {dataSourceRef: {name: s, namespace: nowhere}}} => $.spec.dataSourceRef.namespace
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: a}, spec: {dataSourceRef: {name: s, namespace: a2}}} =>
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: free}, spec: {dataSourceRef: {name: s, namespace: free2}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, csi: {nodeStageSecretRef: {name: s, namespace: b}}}} => $.spec.csi.nodeStageSecretRef.name
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, csi: {nodeStageSecretRef: {name: shared, namespace: b}}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, csi: {nodeStageSecretRef: {name: s, namespace: a2}}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, csi: {nodeStageSecretRef: {name: s, namespace: kube-system}}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, cephfs: {secretRef: {name: s}}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, cephfs: {secretRef: {name: foreign}}}} => $.spec.cephfs.secretRef.name
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, iscsi: {secretRef: {name: s, namespace: free}}}} => $.spec.iscsi.secretRef.name
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: a, name: c}, iscsi: {secretRef: {name: s, namespace: nowhere}}}} => $.spec.iscsi.secretRef.name
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: free, name: c}, iscsi: {secretRef: {name: s, namespace: free2}}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {claimRef: {namespace: torn, name: c}, iscsi: {secretRef: {name: s}}}} => $.metadata.namespace
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {azureFile: {secretName: s, secretNamespace: b}}} => $.spec.azureFile.secretName
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {azureFile: {secretName: s, secretNamespace: nowhere}}} => $.spec.azureFile.secretName
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {azureFile: {secretName: s}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {azureFile: {secretName: s, secretNamespace: kube-system}}} =>
{apiVersion: v1, kind: PersistentVolume, metadata: {name: v, annotations: {volume.kubernetes.io/provisioner-deletion-secret-name: s, volume.kubernetes.io/provisioner-deletion-secret-namespace: b}}, spec: {}} => $.metadata.annotations['volume.kubernetes.io/provisioner-deletion-secret-name']
{apiVersion: storage.k8s.io/v1, kind: VolumeAttachment, metadata: {name: v}, spec: {source: {inlineVolumeSpec: {claimRef: {namespace: a}, rbd: {secretRef: {name: s, namespace: b}}}}}} => $.spec.source.inlineVolumeSpec.rbd.secretRef.name
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {adminSecretName: s, adminSecretNamespace: b}} => $.parameters.adminSecretName
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {adminSecretName: s, adminSecretNamespace: kube-system, userSecretName: u}} =>
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {adminSecretName: s, adminSecretNamespace: nowhere}} => $.parameters.adminSecretName
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {csiProvisionerSecretName: s, csiProvisionerSecretNamespace: '${pvc.namespace}'}} =>
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {csiProvisionerSecretName: s, csiProvisionerSecretNamespace: 'x-${pvc.namespace}'}} => $.parameters.csiProvisionerSecretName
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {csiProvisionerSecretName: s, csiProvisionerSecretNamespace: '${pvc.name}'}} => $.parameters.csiProvisionerSecretName
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: {csiProvisionerSecretName: s, csiProvisionerSecretNamespace: $name}} => $.parameters.csiProvisionerSecretName
{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshotClass, metadata: {name: c}, parameters: {csi.storage.k8s.io/snapshotter-secret-name: s, csi.storage.k8s.io/snapshotter-secret-namespace: b}} => $.parameters['csi.storage.k8s.io/snapshotter-secret-name']
{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshotClass, metadata: {name: c}, parameters: {csi.storage.k8s.io/snapshotter-secret-name: s, csi.storage.k8s.io/snapshotter-secret-namespace: '${volumesnapshot.namespace}'}} =>
{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: a}, imagePullSecrets: [{name: foreign}], secrets: [{name: own}]} => $.imagePullSecrets[0].name
{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {namespace: a}, spec: {boundObjectRef: {kind: Secret, name: foreign}}} => $.spec.boundObjectRef.name
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a}, spec: {tls: [{secretName: own}]}} =>
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {nginx.ingress.kubernetes.io/auth-secret: b/basic}}} => $.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {nginx.ingress.kubernetes.io/auth-secret: b/shared}}} =>
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {nginx.ingress.kubernetes.io/auth-tls-secret: kube-system/ca}}} => $.metadata.annotations['nginx.ingress.kubernetes.io/auth-tls-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {nginx.ingress.kubernetes.io/auth-secret: a2/foreign}}} => $.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: free, annotations: {nginx.ingress.kubernetes.io/auth-secret: b/basic}}} => $.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: free, annotations: {nginx.ingress.kubernetes.io/auth-secret: free2/basic}}} =>
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: kube-system, annotations: {nginx.ingress.kubernetes.io/auth-secret: b/basic}}} =>
{apiVersion: v1, kind: Secret, metadata: {namespace: a, annotations: {replicator.v1.mittwald.de/replicate-from: b/token}}} => $.metadata.annotations['replicator.v1.mittwald.de/replicate-from']
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflects: b/config}}} => $.metadata.annotations['reflector.v1.k8s.emberstack.com/reflects']
{apiVersion: v1, kind: Secret, metadata: {namespace: a, annotations: {replicator.v1.mittwald.de/replicate-from: a2/token}}} =>
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {namespace: a}, spec: {listeners: [{tls: {certificateRefs: [{name: c, namespace: b}]}}]}} => $.spec.listeners[0].tls.certificateRefs[0].name
{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {namespace: a}, spec: {template: {metadata: {name: s, namespace: b}}}} => $.spec.template.metadata.name
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {namespace: a}} =>
";
    assert!(cluster().check(rows) >= 50);
}

#[test]
fn kinds_of_the_policys_catalogue() {
    let rows = "
{apiVersion: example.io/v1, kind: Widget, metadata: {namespace: a}, spec: {creds: {secretName: foreign}}} => $.spec.creds.secretName
{apiVersion: example.io/v1, kind: Widget, metadata: {namespace: a}, spec: {creds: {secretName: own}}} =>
{apiVersion: example.io/v1, kind: Widget, metadata: {namespace: a}, spec: {creds: {secretName: null}}} =>
{apiVersion: example.io/v1, kind: Widget, metadata: {namespace: a}, spec: {}} =>
{apiVersion: example.io/v1, kind: Widget, metadata: {namespace: a}, spec: {creds: {secretName: [foreign]}}} => $.spec.creds.secretName
{apiVersion: example.io/v1, kind: Widget, metadata: {namespace: torn}, spec: {creds: {secretName: x}}} => $.metadata.namespace
{apiVersion: other.io/v1, kind: Widget, metadata: {namespace: a}, spec: {creds: {secretName: foreign}}} =>
{apiVersion: example.io/v1, kind: Source, metadata: {namespace: a}, spec: {refs: [{name: x}, {name: y, namespace: b}]}} => $.spec.refs[1].name
{apiVersion: example.io/v1, kind: Source, metadata: {namespace: a}, spec: {refs: [{name: x, namespace: b}, {name: y}]}} => $.spec.refs[0].name
{apiVersion: example.io/v1, kind: Source, metadata: {namespace: a}, spec: {refs: [{name: x, namespace: a2}, {name: y}]}} =>
{apiVersion: example.io/v1, kind: Source, metadata: {namespace: a}, spec: {refs: [{name: x, namespace: 7}]}} => $.spec.refs[0].namespace
{apiVersion: example.io/v1, kind: Split, metadata: {namespace: a}, spec: {config: {name: x}, target: {namespace: b}}} => $.spec.config.name
{apiVersion: example.io/v1, kind: Split, metadata: {namespace: a}, spec: {config: {name: x}, target: {namespace: a}}} =>
{apiVersion: example.io/v1, kind: ClusterSource, metadata: {name: c}, spec: {refs: [{name: x, namespace: b}]}} => $.spec.refs[0].name
{apiVersion: example.io/v1, kind: ClusterSource, metadata: {name: c}, spec: {refs: [{name: x, namespace: kube-system}]}} =>
{apiVersion: example.io/v1, kind: ClusterSource, metadata: {name: c}, spec: {refs: [{name: x}]}} => $.spec.refs[0].name
{apiVersion: example.io/v1, kind: Deep, metadata: {namespace: a}, spec: {x: [{y: {secretName: foreign}}]}} => $.spec.x[0].y.secretName
";
    assert!(cluster().check(rows) >= 17);
}

#[test]
fn a_path_that_cannot_be_evaluated_denies() {
    let mut document = value("{apiVersion: example.io/v1, kind: Deep, metadata: {namespace: a}}");
    document["spec"] = Value::Array(vec![Value::Bool(true); 2_000_000]);
    let found = cluster().judge(&document, None);
    assert_eq!(spoken(&found), ["PF-SEC-001 $..secretName"]);
}

#[test]
fn updates_are_judged_as_they_would_be_stored() {
    let pod = "apiVersion: apps/v1, kind: Deployment";
    let bad = "spec: {replicas: 1, template: {spec: {volumes: [{secret: {secretName: foreign}}]}}}";
    let path = "$.spec.template.spec.volumes[0].secret.secretName";
    let old = value(&format!(
        "{{{pod}, metadata: {{namespace: a, finalizers: [x], labels: {{k: v}}}}, {bad}}}"
    ));
    let cases = [
        // Nothing but what the garbage collector writes: the object must be able to go.
        (format!("{{{pod}, metadata: {{namespace: a, labels: {{k: v}}}}, {bad}}}"), "", ""),
        (
            format!(
                "{{{pod}, metadata: {{namespace: a, finalizers: [x], labels: {{k: v}}, ownerReferences: [{{uid: u}}]}}, {bad}}}"
            ),
            "",
            "",
        ),
        // Labels that no rule asks for reach nothing new, and neither do fewer pods.
        (format!("{{{pod}, metadata: {{namespace: a, labels: {{k: w}}}}, {bad}}}"), "", ""),
        (
            format!(
                "{{{pod}, metadata: {{namespace: a, labels: {{k: v}}}}, {}}}",
                bad.replace('1', "0")
            ),
            "",
            "",
        ),
        // Anything more is judged whole, also while the object is being deleted.
        (
            format!(
                "{{{pod}, metadata: {{namespace: a, deletionTimestamp: '2026-11-21T00:00:00Z', labels: {{k: v}}}}, {}}}",
                bad.replace('1', "2")
            ),
            "",
            path,
        ),
        (format!("{{{pod}, metadata: {{namespace: a, labels: {{k: v}}}}, spec: {{}}}}"), "", ""),
        // A status can change metadata and nothing else that matters.
        (format!("{{{pod}, metadata: {{namespace: a, labels: {{k: w}}}}, {bad}}}"), "status", ""),
    ];
    let cluster = cluster();
    for (new, subresource, expected) in cases {
        let mut facts = request("dev", &value(&new), Some(&old));
        facts.subresource = subresource.to_owned();
        let found = fixture::found(super::judge, &facts, &cluster.view, &cluster.policy);
        let expected: Vec<String> =
            expected.split_whitespace().map(|p| format!("PF-SEC-001 {p}")).collect();
        assert_eq!(spoken(&found), expected, "{new} {subresource}");
    }
}

/// A ReplicaSet that was there before the label, or before the dispute, must be scaled and go; whoever else changes it is judged.
#[test]
fn controllers_keep_what_was_there() {
    let set = |namespace: &str, replicas: u32, secret: &str| {
        value(&format!(
            "{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{namespace: {namespace}, name: r}}, spec: {{replicas: {replicas}, template: {{spec: {{containers: [{{envFrom: [{{secretRef: {{name: {secret}}}}}]}}]}}}}}}}}"
        ))
    };
    let deployments = "system:serviceaccount:kube-system:deployment-controller";
    let path = "PF-SEC-001 $.spec.template.spec.containers[0].envFrom[0].secretRef.name";
    let torn = "PF-SEC-001 $.metadata.namespace";
    let cases = [
        (deployments, ("a", "foreign"), ("foreign", 0), None),
        (deployments, ("a", "foreign"), ("foreign", 9), None),
        (deployments, ("torn", "x"), ("x", 0), None),
        (deployments, ("torn", "x"), ("x", 9), None),
        ("dev", ("a", "foreign"), ("foreign", 0), None),
        ("dev", ("torn", "x"), ("x", 0), None),
        ("dev", ("a", "foreign"), ("foreign", 9), Some(path)),
        ("dev", ("torn", "x"), ("x", 9), Some(torn)),
        // Another reference is another matter, whoever writes it.
        (deployments, ("a", "own"), ("foreign", 3), Some(path)),
        ("dev", ("a", "own"), ("foreign", 0), Some(path)),
    ];
    let cluster = cluster();
    for (user, (namespace, before), (after, replicas), expected) in cases {
        let (old, new) = (set(namespace, 3, before), set(namespace, replicas, after));
        let facts = request(user, &new, Some(&old));
        let found = fixture::found(super::judge, &facts, &cluster.view, &cluster.policy);
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(spoken(&found), expected, "{user} {namespace} {before} {after} {replicas}");
    }
    let (old, new) = (set("a", 3, "foreign"), set("a", 0, "foreign"));
    let mut facts = request(deployments, &new, Some(&old));
    facts.operation = pinfold_model::facts::Operation::Create;
    let found = fixture::found(super::judge, &facts, &cluster.view, &cluster.policy);
    assert_eq!(spoken(&found), [path], "to make one is no update");
}

#[test]
fn agent_resources_name_nothing_of_another_organization() {
    let fields = [
        ("AgentMcpServer", "secretRefs: [NAMED]", "secretRefs[0]"),
        ("AgentMcpServer", "requiredSecretRefs: [NAMED]", "requiredSecretRefs[0]"),
        ("AgentMcpServer", "configRefs: [NAMED]", "configRefs[0]"),
        ("AgentMcpServer", "envRefs: [{name: A, secretRef: NAMED}]", "envRefs[0].secretRef"),
        (
            "AgentMcpServer",
            "headerRefs: [{name: A, valueFrom: {secretKeyRef: NAMED}}]",
            "headerRefs[0].valueFrom.secretKeyRef",
        ),
        (
            "AgentMcpServer",
            "envRefs: [{name: A, valueFrom: {configMapKeyRef: NAMED}}]",
            "envRefs[0].valueFrom.configMapKeyRef",
        ),
        ("AgentToolProfile", "requiredSecretRefs: [NAMED]", "requiredSecretRefs[0]"),
        ("AgentSkill", "requiredConfigRefs: [NAMED]", "requiredConfigRefs[0]"),
        ("AgentCapabilityRequirement", "requiredSecretRefs: [NAMED]", "requiredSecretRefs[0]"),
        ("AgentServiceAccount", "imagePullSecretRefs: [NAMED]", "imagePullSecretRefs[0]"),
    ];
    let cluster = cluster();
    for (kind, spec, path) in fields {
        let judged = |named: &str| {
            let spec = spec.replace("NAMED", named);
            let manifest = value(&format!(
                "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{namespace: a, name: x}}, spec: {{{spec}}}}}"
            ));
            spoken(&cluster.judge(&manifest, None))
        };
        let refused = [format!("PF-SEC-001 $.spec.{path}")];
        assert_eq!(judged("{namespace: b, name: key}"), refused, "{kind} {spec}");
        assert_eq!(judged("{namespace: nowhere, name: key}"), refused, "{kind} {spec}");
        for honest in ["{namespace: a2, name: key}", "{namespace: a, name: key}", "{name: key}"] {
            assert!(judged(honest).is_empty(), "{kind} {spec} {honest}");
        }
        if !spec.to_lowercase().contains("config") {
            assert_eq!(judged("{name: foreign}"), refused, "a label: {kind} {spec}");
            assert!(judged("{namespace: b, name: shared}").is_empty(), "{kind} {spec}");
        }
    }
    let account = |namespace: &str| {
        value(&format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {{namespace: a, name: x}}, spec: {{namespace: {namespace}, serviceAccountName: s, imagePullSecretRefs: [pull]}}}}"
        ))
    };
    assert!(cluster.judge(&account("a2"), None).raw.is_empty());
    let beside = spoken(&cluster.judge(&account("b"), None));
    assert_eq!(beside, ["PF-SEC-001 $.spec.imagePullSecretRefs[0]"], "beside the ServiceAccount");
}

#[test]
fn annotations_that_a_status_update_changes_are_judged() {
    let ingress = |annotation: &str| {
        value(&format!(
            "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{namespace: a, annotations: {{nginx.ingress.kubernetes.io/auth-secret: {annotation}}}}}, spec: {{tls: [{{secretName: foreign}}]}}}}"
        ))
    };
    let cluster = cluster();
    let path = "PF-SEC-001 $.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']";
    for (old, new, expected) in
        [("own", "b/x", vec![path]), ("b/x", "b/x", vec![]), ("b/x", "own", vec![])]
    {
        let mut facts = request("dev", &ingress(new), Some(&ingress(old)));
        facts.subresource = "status".to_owned();
        let found = fixture::found(super::judge, &facts, &cluster.view, &cluster.policy);
        assert_eq!(spoken(&found), expected, "{old} {new}");
    }
}

#[test]
fn what_the_view_does_not_know_is_asked_for_and_the_answer_decides() {
    let cluster = cluster();
    let manifest = value(
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {nginx.ingress.kubernetes.io/auth-secret: fresh/x}}}",
    );
    let mut facts = request("dev", &manifest, None);
    let found = fixture::found(super::judge, &facts, &cluster.view, &cluster.policy);
    assert_eq!(found.questions, [Question::Object(namespace_key("fresh"))]);
    assert!(found.raw[0].message.contains("isn't in the view"), "{}", found.raw[0].message);
    for (organization, denied) in [("acme", false), ("beta", true)] {
        let live = value(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: fresh, labels: {{krate.a5c.ai/org: {organization}}}}}}}"
        ));
        facts.answers.objects = vec![(namespace_key("fresh"), Some(object(&live)))];
        let found = fixture::found(super::judge, &facts, &cluster.view, &cluster.policy);
        assert_eq!((!found.raw.is_empty(), found.questions.len()), (denied, 0), "{organization}");
    }
}

#[test]
fn messages_say_what_was_found_and_what_to_do() {
    let cluster = cluster();
    let ingress = |secret: &str| {
        value(&format!(
            "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{namespace: a, annotations: {{nginx.ingress.kubernetes.io/auth-secret: {secret}}}}}}}"
        ))
    };
    let found = cluster.judge(&ingress("b/basic"), None);
    let raw = found.raw.first().expect("a finding");
    assert_eq!(
        raw.message,
        "Secret `b/basic` is named from namespace `a`, which belongs to organization `acme`; namespace `b` belongs to organization `beta`"
    );
    assert_eq!(
        raw.remedy,
        "use a Secret of namespace `a`, or have a platform administrator share it: OrgSharingPolicy from `beta` to `acme` with `Secret/b/basic`"
    );
    let pod = value(
        "{apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {volumes: [{persistentVolumeClaim: {claimName: bad}}]}}",
    );
    let found = cluster.judge(&pod, None);
    assert!(
        found.raw[0]
            .message
            .contains("through `$.spec.rbd.secretRef.name` of PersistentVolume pv-bad"),
        "{}",
        found.raw[0].message
    );
}
