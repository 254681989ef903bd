//! Whether a pod is what injection makes of it: every field that is ours as we write it, nothing added to our containers but what the API server adds.

use pinfold_model::policy::inject::{
    GUARD, POLICY_VOLUME, SECRETS_VOLUME, SIDECAR, STATE_VOLUME, TMP_VOLUME, TRUST_VOLUME,
};
use serde_json::{Map, Value};

use super::parts::{Parts, tmp_mount, tmp_volume, trust_mount};
use crate::rbac::describe::excerpt;

/// The lists of containers in a pod.
pub(super) const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
/// Our volumes.
pub(super) const VOLUMES: [&str; 5] =
    [POLICY_VOLUME, STATE_VOLUME, SECRETS_VOLUME, TRUST_VOLUME, TMP_VOLUME];
/// Where the API server's admission mounts the token of the ServiceAccount, and how its volume's name begins.
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_VOLUME: &str = "kube-api-access-";
/// Values of `imagePullPolicy`, which admission may set to what it likes.
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

/// Something that isn't as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON path.
    pub(crate) path: String,
    /// What is the matter.
    pub(crate) what: String,
}

impl Fault {
    fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

/// A pod and what it should carry.
pub(super) struct Place<'p> {
    pub(super) parts: &'p Parts,
    pub(super) document: &'p Value,
}

impl Place<'_> {
    /// Everything that isn't as it must be.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.containers(&mut faults);
        self.volumes(&mut faults);
        self.annotations(&mut faults);
        faults.extend(mounts(self.document));
        faults
    }

    fn containers(&self, faults: &mut Vec<Fault>) {
        let found = items(self.document, "initContainers");
        for (at, (name, ours)) in
            [(GUARD, &self.parts.guard), (SIDECAR, &self.parts.sidecar)].into_iter().enumerate()
        {
            let path = format!("$.spec.initContainers[{at}]");
            match found.get(at) {
                Some(container) if named(container) == name => {
                    if let Err(field) = carries(ours, container) {
                        let what = format!("`{field}` of `{name}` isn't as injection writes it");
                        faults.push(Fault::new(format!("{path}.{field}"), what));
                    }
                }
                Some(_) | None if found.iter().any(|one| named(one) == name) => {
                    let what =
                        format!("`{name}` is no longer in front of the other init containers");
                    faults.push(Fault::new(path, what));
                }
                Some(_) | None => faults.push(Fault::new(path, format!("`{name}` is missing"))),
            }
        }
    }

    fn volumes(&self, faults: &mut Vec<Fault>) {
        let found = items(self.document, "volumes");
        for (name, ours) in &self.parts.volumes {
            let mut same = found.iter().filter(|volume| named(volume) == *name);
            match (same.next(), same.next()) {
                (Some(volume), None) if volume == ours => {}
                (None, _) => {
                    faults
                        .push(Fault::new("$.spec.volumes", format!("volume `{name}` is missing")));
                }
                (Some(_), _) => {
                    let what = format!("volume `{name}` isn't as injection writes it");
                    faults.push(Fault::new("$.spec.volumes", what));
                }
            }
        }
        for (at, volume) in found.iter().enumerate() {
            let name = named(volume);
            let wanted = self.parts.volumes.iter().any(|(ours, _)| *ours == name);
            let extra = VOLUMES.contains(&name) && !wanted;
            if extra && !(name == TMP_VOLUME && *volume == tmp_volume()) {
                let what = format!("volume `{name}` isn't one that injection puts into this pod");
                faults.push(Fault::new(format!("$.spec.volumes[{at}]"), what));
            }
        }
    }

    fn annotations(&self, faults: &mut Vec<Fault>) {
        for (key, text) in &self.parts.annotations {
            let found = self.document.pointer("/metadata/annotations").and_then(|all| all.get(key));
            let what = match found.and_then(Value::as_str) {
                Some(found) if found == text => continue,
                Some(_) => format!("annotation `{key}` isn't what the AgentPolicies say"),
                None => format!("annotation `{key}` is missing"),
            };
            faults.push(Fault::new(format!("$.metadata.annotations['{key}']"), what));
        }
    }
}

/// Mounts and other uses of our volumes in agents' containers, but for those that injection puts there: the credentials and the policy are the sidecar's alone.
pub(crate) fn mounts(document: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for list in LISTS {
        for (at, container) in items(document, list).iter().enumerate() {
            let name = named(container);
            // Ours are in front; a name further behind is somebody else's.
            if list == "initContainers" && [GUARD, SIDECAR].get(at) == Some(&name) {
                continue;
            }
            let devices = container.get("volumeDevices").and_then(Value::as_array);
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            for mount in mounts.into_iter().chain(devices).flatten() {
                if VOLUMES.contains(&named(mount)) && !is_given(name, mount) {
                    let what = format!(
                        "container `{}` mounts volume `{}`, which is the sidecar's",
                        excerpt(name),
                        named(mount)
                    );
                    faults.push(Fault::new(format!("$.spec.{list}[{at}].volumeMounts"), what));
                }
            }
            for (variable, volume) in files(container) {
                let what = format!(
                    "container `{}` fills a variable from volume `{volume}`, which is the sidecar's",
                    excerpt(name)
                );
                let path = format!("$.spec.{list}[{at}].env[{variable}].valueFrom.fileKeyRef");
                faults.push(Fault::new(path, what));
            }
        }
    }
    faults
}

/// Which variables of a container are filled from files of our volumes (KEP-3721): the kubelet reads them without a mount.
fn files(container: &Value) -> Vec<(usize, &'static str)> {
    let variables = container.get("env").and_then(Value::as_array).map(Vec::as_slice);
    let volume = |variable: &Value| {
        let name = variable.pointer("/valueFrom/fileKeyRef/volumeName")?.as_str()?;
        VOLUMES.into_iter().find(|ours| *ours == name)
    };
    let variables = variables.unwrap_or_default().iter().enumerate();
    variables.filter_map(|(at, variable)| Some((at, volume(variable)?))).collect()
}

/// Whether injection gives a container this mount.
pub(super) fn is_given(container: &str, mount: &Value) -> bool {
    *mount == trust_mount() || *mount == tmp_mount(container)
}

/// The items of a list of the pod's spec.
pub(super) fn items<'d>(document: &'d Value, list: &str) -> &'d [Value] {
    let found = document.pointer("/spec").and_then(|spec| spec.get(list));
    found.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The name of a container, volume or mount.
pub(super) fn named(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a container is one of ours, as the API server stores it.
///
/// # Errors
/// The first field that differs.
pub(super) fn carries(ours: &Value, container: &Value) -> Result<(), String> {
    let (Value::Object(ours), Value::Object(container)) = (ours, container) else {
        return Err("name".to_owned());
    };
    let mut fields: Vec<&String> = ours.keys().chain(container.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let differs = |field: &&String| !same_field(field, ours.get(*field), container.get(*field));
    match fields.into_iter().find(differs) {
        Some(field) => Err(excerpt(field)),
        None => Ok(()),
    }
}

fn same_field(field: &str, ours: Option<&Value>, found: Option<&Value>) -> bool {
    if ours == found {
        return true;
    }
    match (field, ours, found) {
        ("imagePullPolicy", None, Some(Value::String(policy))) => {
            PULL_POLICIES.contains(&policy.as_str())
        }
        ("resources", Some(ours), Some(found)) => same_resources(ours, found),
        ("volumeMounts", ours, Some(Value::Array(found))) => {
            let ours = ours.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            found.starts_with(ours) && found.iter().skip(ours.len()).all(is_token)
        }
        ("securityContext", Some(Value::Object(ours)), Some(Value::Object(found))) => {
            let mut found = found.clone();
            // The API server fills it in where its feature is on.
            if found.get("procMount").and_then(Value::as_str) == Some("Default") {
                found.remove("procMount");
            }
            *ours == found
        }
        // What nobody wrote, and the API server stores all the same.
        (_, None, Some(Value::Array(found))) => found.is_empty(),
        (_, None, Some(Value::Null)) => true,
        _ => false,
    }
}

/// A LimitRanger may add limits that we don't set; those that we set stand.
fn same_resources(ours: &Value, found: &Value) -> bool {
    let (Value::Object(ours), Value::Object(found)) = (ours, found) else { return false };
    let none = Map::new();
    let part = |of: &Map<String, Value>, name: &str| {
        of.get(name).and_then(Value::as_object).unwrap_or(&none).clone()
    };
    let known = |name: &&String| ["limits", "requests"].contains(&name.as_str());
    let kept = |name: &str| {
        let (ours, found) = (part(ours, name), part(found, name));
        ours.iter().all(|(key, value)| found.get(key) == Some(value))
    };
    found.keys().all(|name| known(&name)) && kept("limits") && kept("requests")
}

/// The mount of the API token, which admission adds where the pod asks for one.
fn is_token(mount: &Value) -> bool {
    let path = mount.get("mountPath").and_then(Value::as_str);
    named(mount).starts_with(TOKEN_VOLUME) && path == Some(TOKEN_DIR)
}
