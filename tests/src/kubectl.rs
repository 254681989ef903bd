//! Runs the real kubectl: what a user would type, and what a user would read.

use crate::HarnessError;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who a command is run as, by impersonation from the administrator.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// `--as`.
    pub name: &'a str,
    /// `--as-group`, each.
    pub groups: &'a [&'a str],
}

/// What kubectl answered.
#[derive(Debug, Clone)]
pub struct KubectlOutput {
    command: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error: where a refusal is printed.
    pub stderr: String,
}

impl KubectlOutput {
    /// Exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The standard output of a command that has to work.
    pub fn ok(self) -> Result<String, HarnessError> {
        if self.success() {
            return Ok(self.stdout);
        }
        Err(HarnessError::Command { command: self.command, code: self.code, stderr: self.stderr })
    }
}

/// kubectl against one server. Reads nothing of the person who runs the tests: not their
/// kubeconfig, not their discovery cache.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) cache: PathBuf,
}

impl Kubectl {
    /// Runs `kubectl ARGS` with `stdin`, as the administrator or as `user`.
    pub(crate) fn run(
        &self,
        user: Option<User<'_>>,
        args: &[&str],
        stdin: &str,
    ) -> Result<KubectlOutput, HarnessError> {
        let failed = |action| HarnessError::io(action, &self.program);
        // A file instead of a pipe: nothing can block on the other's full buffer.
        let mut input = tempfile::tempfile().map_err(failed("write the input of"))?;
        input
            .write_all(stdin.as_bytes())
            .and_then(|()| input.rewind())
            .map_err(failed("write the input of"))?;
        let mut command = Command::new(&self.program);
        command.args(args).arg("--cache-dir").arg(&self.cache);
        if let Some(user) = user {
            command.args(["--as", user.name]);
            command.args(user.groups.iter().flat_map(|&group| ["--as-group", group]));
        }
        let output = command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBERC", "off")
            .stdin(Stdio::from(input))
            .output()
            .map_err(failed("run"))?;
        Ok(KubectlOutput {
            command: format!("kubectl {}", args.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Whether the server says that it is ready, post-start hooks and all.
    pub(crate) fn ready(&self) -> bool {
        self.run(None, &["get", "--raw", "/readyz", "--request-timeout=2s"], "")
            .is_ok_and(|output| output.success())
    }
}

/// The text of a kubeconfig for `url`, all credentials inline in files of `dir`.
pub(crate) fn kubeconfig(url: &str, dir: &Path) -> String {
    let file = |name: &str| dir.join(name).display().to_string();
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: t, cluster: {{server: {url:?}, certificate-authority: {:?}}}}}]
users: [{{name: t, user: {{client-certificate: {:?}, client-key: {:?}}}}}]
contexts: [{{name: t, context: {{cluster: t, user: t}}}}]
current-context: t
",
        file("ca.crt"),
        file("admin.crt"),
        file("admin.key")
    )
}
