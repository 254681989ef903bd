//! Where the real etcd, kube-apiserver and kubectl come from: a named directory, the cache, or a
//! build from `tests/kube-assets`. Never downloads a binary; Go's checksum database and go.sum
//! vouch for the source.

use crate::HarnessError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs and the Go packages they are built from.
const PROGRAMS: [(&str, &str); 3] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

/// The tool module, at its place in the source tree that this test was built from.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kube-assets");

/// The directory with the programs of a real control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeAssets {
    bin: PathBuf,
}

impl KubeAssets {
    /// Finds or builds the programs, by the rules of [`Places`], from this process's environment.
    pub fn find() -> Result<Self, HarnessError> {
        Places::from_env(|name| std::env::var_os(name))?.find()
    }

    /// The Kubernetes version that `tests/kube-assets` pins, without the `v`.
    pub fn pinned_version() -> Result<&'static str, HarnessError> {
        kubernetes_version()
    }

    /// The path of one of `etcd`, `kube-apiserver`, `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// Where to look and what to build with.
#[derive(Debug, Clone)]
struct Places {
    /// `KUBEBUILDER_ASSETS`: used as it is, nothing is built into it.
    prebuilt: Option<PathBuf>,
    /// The directory of this version in the cache; the programs are in its `bin`, as in the
    /// lab's cache, so that `PINFOLD_LAB_CACHE` can name the same directory.
    cache: PathBuf,
    /// The Go command.
    go: PathBuf,
    version: &'static str,
    /// Tells people what takes so long.
    say: fn(&str),
}

impl Places {
    /// `KUBEBUILDER_ASSETS`; else `kube-assets-VERSION` under `PINFOLD_ASSETS_CACHE`,
    /// `$XDG_CACHE_HOME/pinfold` or `~/.cache/pinfold`. Empty variables count as unset.
    fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HarnessError> {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let version = kubernetes_version()?;
        let cache = path("PINFOLD_ASSETS_CACHE")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("pinfold")))
            .or_else(|| path("HOME").map(|home| home.join(".cache/pinfold")))
            .ok_or(HarnessError::NoCachePlace)?
            .join(format!("kube-assets-{version}"));
        let prebuilt = path("KUBEBUILDER_ASSETS");
        Ok(Self { prebuilt, cache, go: "go".into(), version, say: to_stderr })
    }

    /// The programs, built first if they are nowhere. Processes that ask at the same time build
    /// once: one builds, the others wait for its lock.
    fn find(&self) -> Result<KubeAssets, HarnessError> {
        if let Some(directory) = &self.prebuilt {
            return match missing(directory).first() {
                None => Ok(KubeAssets { bin: directory.clone() }),
                Some(&(program, _)) => {
                    Err(HarnessError::AssetMissing { directory: directory.clone(), program })
                }
            };
        }
        let bin = self.cache.join("bin");
        if !missing(&bin).is_empty() {
            self.build_missing(&bin)?;
        }
        Ok(KubeAssets { bin })
    }

    fn build_missing(&self, bin: &Path) -> Result<(), HarnessError> {
        fs::create_dir_all(bin).map_err(HarnessError::io("create", bin))?;
        let lock_path = self.cache.join("lock");
        let lock =
            File::create(&lock_path).map_err(HarnessError::io("create the lock", &lock_path))?;
        lock.lock().map_err(HarnessError::io("take the lock", &lock_path))?;
        let wanted = missing(bin);
        if !wanted.is_empty() {
            (self.say)(&format!(
                "pinfold-tests: building etcd, kube-apiserver and kubectl {} with Go into {}; \
                 about 8 minutes on two cores, the first time only\n",
                self.version,
                bin.display()
            ));
        }
        for (program, package) in wanted {
            self.build(bin, program, package)?;
        }
        Ok(())
    }

    fn build(
        &self,
        bin: &Path,
        program: &'static str,
        package: &'static str,
    ) -> Result<(), HarnessError> {
        // A build that is cut off must not look like a program; the lock makes the name ours.
        let unfinished = bin.join(format!("{program}.unfinished"));
        let status = Command::new(&self.go)
            .args(["build", "-mod=readonly", "-ldflags", &linker_flags(self.version), "-o"])
            .arg(&unfinished)
            .arg(package)
            .current_dir(MODULE)
            .env("CGO_ENABLED", "0")
            .status()
            .map_err(|source| HarnessError::NoGo {
                version: self.version.to_owned(),
                cache: self.cache.clone(),
                go: self.go.clone(),
                source,
            })?;
        if !status.success() {
            return Err(HarnessError::GoBuild { package, status });
        }
        let finished = bin.join(program);
        fs::rename(&unfinished, &finished).map_err(HarnessError::io("rename into", finished))
    }
}

/// The real stderr: the test runner would hold `eprintln!` back until a failure. Progress for
/// people; nothing depends on it being seen.
fn to_stderr(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The programs that `directory` lacks as executable files.
fn missing(directory: &Path) -> Vec<(&'static str, &'static str)> {
    let executable = |name: &str| {
        fs::metadata(directory.join(name))
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    PROGRAMS.into_iter().filter(|(name, _)| !executable(name)).collect()
}

/// The version that the tool module pins, so that it is written in one place.
fn kubernetes_version() -> Result<&'static str, HarnessError> {
    include_str!("../kube-assets/go.mod")
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        .ok_or(HarnessError::NoVersion)
}

/// Without these the API server and kubectl call themselves v0.0.0, and refuse each other.
fn linker_flags(version: &str) -> String {
    const VARIABLE: &str = "-X k8s.io/component-base/version";
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
    format!(
        "-s -w {VARIABLE}.gitVersion=v{version} {VARIABLE}.gitMajor={major} \
         {VARIABLE}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests;
