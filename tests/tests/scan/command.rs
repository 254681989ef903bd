//! The command as a user runs it, in this process.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use pinfold::{Arguments, Outcome, run};
use pinfold_tests::ApiServer;
use serde_json::Value;
use tempfile::TempDir;

use crate::Answer;

/// A server with the agent resources and the reports', and somewhere for files.
pub(crate) struct Place<'s> {
    pub(crate) server: &'s ApiServer,
    dir: TempDir,
}

/// What a scan said.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) outcome: Outcome,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl<'s> Place<'s> {
    pub(crate) fn new(server: &'s ApiServer) -> Answer<Self> {
        let crds = repository("manifests/crds");
        server.kubectl(&["apply", "-k", &crds.to_string_lossy()], "")?.ok()?;
        server.apply(&crate::reports::resources())?;
        server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")?.ok()?;
        Ok(Self { server, dir: tempfile::tempdir()? })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A scan as the administrator, as JSON; by the baseline that ships, or by a policy of this spec.
    pub(crate) fn scan(&self, policy: Option<&str>, words: &[&str]) -> Answer<Scanned> {
        let mut all = vec!["-o", "json"];
        let file = self.path("policy.yaml").to_string_lossy().into_owned();
        if let Some(spec) = policy {
            let head = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: t}\nspec: ";
            fs::write(&file, format!("{head}{{{spec}}}\n"))?;
            all.extend(["-p", &file]);
        }
        all.extend(words);
        self.scan_as(self.server.kubeconfig(), &all)
    }

    /// A scan with a kubeconfig.
    pub(crate) fn scan_as(&self, kubeconfig: &Path, words: &[&str]) -> Answer<Scanned> {
        let kubeconfig = kubeconfig.to_string_lossy();
        let fixed = ["pinfold", "scan", "--quiet", "--kubeconfig", &kubeconfig];
        let arguments = Arguments::try_parse_from(fixed.iter().chain(words))?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = run(&arguments, &mut out, &mut err);
        Ok(Scanned { outcome, out: String::from_utf8(out)?, err: String::from_utf8(err)? })
    }
}

impl Scanned {
    pub(crate) fn json(&self) -> Answer<Value> {
        serde_json::from_str(&self.out).map_err(|error| format!("{error}: {self:?}").into())
    }

    /// `DANGER NAME` of each object, in order.
    pub(crate) fn told(&self) -> Answer<Vec<String>> {
        let document = self.json()?;
        let text = |value: &Value, at: &str| {
            value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let objects = document.get("objects").and_then(Value::as_array).ok_or("no objects")?;
        Ok(objects
            .iter()
            .map(|one| format!("{} {}", text(one, "/danger"), text(one, "/object/name")))
            .collect())
    }

    /// A count at a JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> Answer<usize> {
        let document = self.json()?;
        let number = document.pointer(pointer).and_then(Value::as_u64);
        Ok(usize::try_from(number.ok_or_else(|| format!("no {pointer} in {}", self.out))?)?)
    }
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
