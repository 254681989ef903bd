//! The same question put to `pinfold check`, with the cluster's objects as files.

use std::fs;
use std::path::PathBuf;

use clap::Parser as _;
use pinfold_tests::User;
use serde_json::Value;

use crate::Outcome;
use crate::denial::Findings;
use crate::stage::Stage;

/// Kinds that decisions depend on.
const KINDS: &str = "namespaces,serviceaccounts,nodes,persistentvolumes,persistentvolumeclaims,configmaps,roles,clusterroles,rolebindings,\
     clusterrolebindings,storageclasses,agentdispatchruns,agentsecretgrants,agentrolebindings,organizations,orgnamespacebindings,orgsharingpolicies,runnerpools";

/// What `pinfold check` said of a manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) allowed: bool,
    pub(crate) findings: Findings,
}

/// The cluster as it is now, in a file.
pub(crate) fn dump(stage: &Stage) -> Outcome<PathBuf> {
    let list = stage.server.kubectl(&["get", KINDS, "--all-namespaces", "-o", "json"], "")?.ok()?;
    let file = stage.path("cluster.json");
    fs::write(&file, list)?;
    Ok(file)
}

/// `pinfold check -o json --as USER ...` in this process.
pub(crate) fn check(stage: &Stage, user: User<'_>, manifest: &str) -> Outcome<Checked> {
    let file = stage.path("manifest.yaml");
    fs::write(&file, stage.named(manifest))?;
    let path = |file: PathBuf| file.to_string_lossy().into_owned();
    let mut words =
        vec!["pinfold".to_owned(), "check".to_owned(), "-o".to_owned(), "json".to_owned()];
    words.extend(["-p".to_owned(), path(stage.path("policy"))]);
    words.extend(["--cluster".to_owned(), path(stage.path("cluster.json"))]);
    words.extend(["--as".to_owned(), user.name.to_owned()]);
    words.extend(user.groups.iter().flat_map(|&group| ["--as-group".to_owned(), group.to_owned()]));
    words.push(path(file));
    let arguments = pinfold::Arguments::try_parse_from(words)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    pinfold::run(&arguments, &mut out, &mut err);
    let said = || String::from_utf8_lossy(&err).into_owned();
    let document: Value =
        serde_json::from_slice(&out).map_err(|error| format!("{error}: {}", said()))?;
    read(&document).ok_or_else(|| format!("no result in {document}: {}", said()).into())
}

/// The first result of a `pinfold check -o json`.
pub(crate) fn read(document: &Value) -> Option<Checked> {
    let result = document.get("results")?.get(0)?;
    let text = |value: &Value, field: &str| Some(value.get(field)?.as_str()?.to_owned());
    let denials = result.get("findings")?.as_array()?.iter();
    let findings = denials
        .filter(|finding| text(finding, "mode").as_deref() == Some("enforce"))
        .map(|finding| Some((text(finding, "rule")?, text(finding, "path")?)))
        .collect::<Option<_>>()?;
    Some(Checked { allowed: result.get("allowed")?.as_bool()?, findings })
}
