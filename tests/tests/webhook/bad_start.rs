//! A webhook that can't work doesn't start: exit code 2, and a message that names the file and line, or the address.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use pinfold_tests::TestAuthority;

use crate::Outcome;
use crate::bad_input::files;
use crate::replica::Flags;

/// Until it has given up.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// Spoils one thing of a good configuration, and says what the message must hold.
type Spoil = fn(&Path, Flags) -> Outcome<(Flags, Vec<String>)>;

fn of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn policy_with_a_typo(dir: &Path, flags: Flags) -> Outcome<(Flags, Vec<String>)> {
    let policy = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: p}\nspec:\n  trust:\n    trustedRef: [refs/heads/main]\n";
    let file = dir.join("policy.yaml");
    fs::write(&file, policy)?;
    Ok((
        flags,
        vec![format!("{}:6:", of(&file)), "trustedRef".to_owned(), "trustedRefs".to_owned()],
    ))
}

fn policy_that_is_absent(dir: &Path, flags: Flags) -> Outcome<(Flags, Vec<String>)> {
    fs::remove_file(dir.join("policy.yaml"))?;
    Ok((flags, vec![of(&dir.join("policy.yaml"))]))
}

fn certificate_that_is_absent(dir: &Path, flags: Flags) -> Outcome<(Flags, Vec<String>)> {
    fs::remove_file(dir.join("tls.crt"))?;
    Ok((flags, vec![of(&dir.join("tls.crt"))]))
}

fn certificate_that_is_none(dir: &Path, flags: Flags) -> Outcome<(Flags, Vec<String>)> {
    fs::write(
        dir.join("tls.crt"),
        "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n",
    )?;
    Ok((flags, vec![of(&dir.join("tls.crt"))]))
}

fn key_of_another_certificate(dir: &Path, flags: Flags) -> Outcome<(Flags, Vec<String>)> {
    let other = TestAuthority::new("other")?.serving(&["127.0.0.1"])?;
    fs::write(dir.join("tls.key"), other.key_pem)?;
    Ok((flags, vec![of(&dir.join("tls.key"))]))
}

fn kubeconfig_that_is_none(dir: &Path, _: Flags) -> Outcome<(Flags, Vec<String>)> {
    let file = dir.join("kubeconfig");
    fs::write(&file, "clusters: 7\n")?;
    let flags = Flags::default()
        .with("--policy", dir.join("policy.yaml"))
        .with("--tls-cert", dir.join("tls.crt"))
        .with("--tls-key", dir.join("tls.key"))
        .with("--kubeconfig", &file);
    Ok((flags, vec![of(&file)]))
}

fn audit_that_is_a_file(dir: &Path, flags: Flags) -> Outcome<(Flags, Vec<String>)> {
    let file = dir.join("policy.yaml");
    Ok((flags.with("--audit", &file), vec![of(&file)]))
}

#[test]
fn what_cannot_work_does_not_start() -> Outcome {
    let cases: [(&str, Spoil); 7] = [
        ("a policy with a typo", policy_with_a_typo),
        ("no policy", policy_that_is_absent),
        ("no certificate", certificate_that_is_absent),
        ("a certificate that is none", certificate_that_is_none),
        ("another certificate's key", key_of_another_certificate),
        ("a kubeconfig that is none", kubeconfig_that_is_none),
        ("an audit directory that is a file", audit_that_is_a_file),
    ];
    for (what, spoil) in cases {
        let dir = tempfile::tempdir()?;
        let flags = files(dir.path(), &TestAuthority::new("bad start")?)?;
        let (flags, said) = spoil(dir.path(), flags)?;
        assert_ends(what, &flags, &said)?;
    }
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for flag in ["--listen", "--metrics"] {
        let dir = tempfile::tempdir()?;
        let flags = files(dir.path(), &TestAuthority::new("bad start")?)?;
        assert_ends(flag, &flags.at(flag, &address), std::slice::from_ref(&address))?;
    }
    Ok(())
}

fn assert_ends(what: &str, flags: &Flags, said: &[String]) -> Outcome {
    let (process, ready_file) = flags.spawn()?;
    let code = process.wait(ENDED_WITHIN);
    let log = process.log();
    assert_eq!(code, Some(2), "{what}: {log}");
    assert!(!ready_file.exists(), "{what}: it said that it was ready");
    for words in said {
        assert!(log.contains(words.as_str()), "{what}: expected `{words}` in {log}");
    }
    Ok(())
}
