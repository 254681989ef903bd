//! The program itself: exit codes, messages, the ready file, and SIGTERM.

#[cfg(test)]
mod cases {
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};
    use std::time::{Duration, Instant};

    use pinfold_certs::{Authority, Validity};

    const POLICY: &str = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: test}\nspec: {}\n";
    const PATIENCE: Duration = Duration::from_secs(30);

    fn program(directory: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold-webhook"));
        command.current_dir(directory).args(flags).env_remove("RUST_LOG");
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// A directory with a policy, a cluster and nothing else.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("policy.yaml"), POLICY).unwrap();
        std::fs::create_dir(directory.path().join("cluster")).unwrap();
        directory
    }

    const FLAGS: [&str; 9] = [
        "--policy",
        "policy.yaml",
        "--cluster",
        "cluster",
        "--listen",
        "127.0.0.1:0",
        "--metrics",
        "127.0.0.1:0",
        "--tls-self-managed",
    ];

    fn stderr(output: &Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[test]
    fn wrong_flags_end_with_2() {
        let directory = directory();
        let cases: [(&[&str], &str); 5] = [
            (&[], "--policy"),
            (&["--policy", "p", "--tls-self-managed"], "--kubeconfig"),
            (
                &["--policy", "p", "--cluster", "c", "--in-cluster", "--tls-self-managed"],
                "--in-cluster",
            ),
            (&["--policy", "p", "--cluster", "c"], "--tls-cert"),
            (&["--policy", "p", "--cluster", "c", "--tls-cert", "x"], "--tls-key"),
        ];
        for (flags, named) in cases {
            let output = program(directory.path(), flags).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{flags:?}");
            assert!(stderr(&output).contains(named), "{flags:?}: {}", stderr(&output));
        }
    }

    #[test]
    fn a_typo_in_the_policy_ends_with_2_and_its_place() {
        let directory = directory();
        let typo = POLICY.replace("spec: {}", "spec:\n  mod: warn");
        std::fs::write(directory.path().join("policy.yaml"), typo).unwrap();
        for form in ["json", "text"] {
            let flags = [FLAGS.as_slice(), &["--log", form]].concat();
            let output = program(directory.path(), &flags).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            let said = stderr(&output);
            assert!(said.contains("policy.yaml:5:3: "), "{said}");
            if form == "json" {
                let line: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
                assert_eq!(line["level"], "ERROR");
            }
        }
    }

    /// Ends the child whatever happens.
    struct Guard(Child);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn sigterm_ends_with_0_and_the_environment_is_as_good_as_flags() {
        let directory = directory();
        let authority = Authority::create(
            "test",
            Validity::starting(std::time::SystemTime::now(), PATIENCE * 10).unwrap(),
        )
        .unwrap();
        let issued = authority.issue_serving(&["localhost"], authority.validity()).unwrap();
        std::fs::write(directory.path().join("tls.crt"), &issued.certificate).unwrap();
        std::fs::write(directory.path().join("tls.key"), issued.key.expose()).unwrap();
        let environment = [
            ("PINFOLD_POLICY", "policy.yaml"),
            ("PINFOLD_CLUSTER", "cluster"),
            ("PINFOLD_LISTEN", "127.0.0.1:0"),
            ("PINFOLD_METRICS", "127.0.0.1:0"),
            ("PINFOLD_TLS_CERT", "tls.crt"),
            ("PINFOLD_TLS_KEY", "tls.key"),
            ("PINFOLD_AUDIT", "audit"),
            ("PINFOLD_READY_FILE", "ready.json"),
            ("PINFOLD_DRAIN", "1"),
        ];
        let child = program(directory.path(), &[]).envs(environment).stderr(Stdio::null()).spawn();
        let mut child = Guard(child.unwrap());
        let ready = directory.path().join("ready.json");
        let text = wait_for("ready", || std::fs::read_to_string(&ready).ok());
        let addresses: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(addresses["listen"].as_str().unwrap().starts_with("127.0.0.1:"));
        let pid = child.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = wait_for("the end", || child.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        assert!(directory.path().join("audit/checkpoints").exists(), "the ledger was closed");
    }
}
