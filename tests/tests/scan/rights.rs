//! The rights that `docs/scan.md` lists are enough and none is idle; what may not be listed is named, and the rest is still told.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pinfold::Outcome;
use pinfold_tests::until;

use crate::Answer;
use crate::command::{Place, Scanned, repository};
use crate::filling::BAD;

const SOON: Duration = Duration::from_secs(30);
const WITHOUT: [&str; 4] = ["-o", "json", "--without", "secrets"];

pub(crate) fn documented_ones_are_enough_and_missing_ones_are_said(place: &Place<'_>) -> Answer {
    let scanner = scanner(place)?;
    let role = documented()?;
    place.server.apply(&role)?;
    place.server.apply(BINDING)?;
    let complete = scan_until(place, &scanner, &WITHOUT, Outcome::Denied)?;
    assert_eq!(complete.told()?.len(), BAD, "{complete:?}");
    // Secrets are not among the documented rights: they have to be left out, or are missed.
    let with_secrets = place.scan_as(&scanner, &["-o", "json"])?;
    assert_eq!(
        (with_secrets.outcome, missed(&with_secrets)?),
        (Outcome::Undecided, vec!["Secret".to_owned()])
    );
    let less = role.replace("roles, clusterroles,", "clusterroles,");
    assert_ne!(less, role);
    place.server.apply(&less)?;
    let partial = scan_until(place, &scanner, &WITHOUT, Outcome::Undecided)?;
    assert_eq!(missed(&partial)?, ["Role"], "{partial:?}");
    assert!(
        partial.out.contains("list roles.rbac.authorization.k8s.io in all namespaces"),
        "{partial:?}"
    );
    assert!(partial.told()?.contains(&"high stolen".to_owned()), "the rest is told: {partial:?}");
    let table = place.scan_as(&scanner, &["--without", "secrets"])?;
    assert!(
        table.out.contains("not complete: can't read Role (rbac.authorization.k8s.io/v1)"),
        "{table:?}"
    );
    assert!(table.out.contains("not looked at, as asked for: secrets"), "{table:?}");
    nobody_there_is_undecided(place)
}

const BINDING: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: pinfold-scan}, \
     subjects: [{kind: User, name: scanner, apiGroup: rbac.authorization.k8s.io}], \
     roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pinfold-scan}}";

/// The ClusterRole that the page shows.
fn documented() -> Answer<String> {
    let page = fs::read_to_string(repository("docs/scan.md"))?;
    let mut blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let role = blocks.find(|(block, _)| block.contains("kind: ClusterRole"));
    Ok(role.ok_or("no ClusterRole in docs/scan.md")?.0.to_owned())
}

/// The administrator's kubeconfig, as somebody else.
fn scanner(place: &Place<'_>) -> Answer<PathBuf> {
    let own = fs::read_to_string(place.server.kubeconfig())?;
    let path = place.path("scanner.kubeconfig");
    let theirs = own.replace("user: {client-certificate", "user: {as: scanner, client-certificate");
    if own == theirs {
        return Err(format!("an unexpected kubeconfig: {own}").into());
    }
    fs::write(&path, theirs)?;
    Ok(path)
}

/// The authorizer learns of a changed role a moment later.
fn scan_until(
    place: &Place<'_>,
    scanner: &std::path::Path,
    words: &[&str],
    wanted: Outcome,
) -> Answer<Scanned> {
    let mut last = String::new();
    let scanned = until(SOON, || {
        let scanned = place.scan_as(scanner, words).ok()?;
        last = format!("{scanned:?}");
        (scanned.outcome == wanted).then_some(scanned)
    });
    scanned.ok_or_else(|| format!("never {wanted:?}: {last}").into())
}

fn missed(scanned: &Scanned) -> Answer<Vec<String>> {
    let document = scanned.json()?;
    let kinds = document.get("notListed").and_then(|list| list.as_array()).ok_or("no list")?;
    let kind = |entry: &serde_json::Value| entry.get("kind")?.as_str().map(str::to_owned);
    Ok(kinds.iter().filter_map(kind).collect())
}

fn nobody_there_is_undecided(place: &Place<'_>) -> Answer {
    let own = fs::read_to_string(place.server.kubeconfig())?;
    let path = place.path("nobody.kubeconfig");
    // Port 0 is nobody's.
    fs::write(&path, own.replace(place.server.url(), "https://127.0.0.1:0"))?;
    let scanned = place.scan_as(&path, &[])?;
    assert_eq!((scanned.outcome, scanned.out.as_str()), (Outcome::Undecided, ""), "{scanned:?}");
    assert!(scanned.err.contains("can't ask the API server"), "{scanned:?}");
    Ok(())
}
