//! `pinfold vouch`: signs manifests for a deputy to apply, so that the webhook judges the person and not the deputy.
//!
//! The private key is read, used once and forgotten; it is never printed.

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use pinfold_engine::vouch::Signer;

use crate::manifest::{self, Manifest};
use crate::{CliError, Outcome};

/// Longest key file that is read, in bytes; an Ed25519 key in PEM has 119.
const KEY_BYTES_MAX: u64 = 16 * 1024;

/// Arguments of `vouch`.
#[derive(Debug, Args)]
pub struct VouchArguments {
    /// Ed25519 private key: PKCS#8, PEM or DER (`openssl genpkey -algorithm ed25519`).
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Who stands behind the manifests.
    #[arg(
        long = "as",
        value_name = "USER",
        required_unless_present = "public_key",
        default_value = ""
    )]
    pub user: String,
    /// Groups of that user.
    #[arg(long = "as-group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Print the public key, as a policy names it, and sign nothing.
    #[arg(long)]
    pub public_key: bool,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Manifests as they will be applied (after `kustomize build`, `helm template`): files, directories, or `-` for standard input.
    #[arg(value_name = "MANIFEST", required_unless_present = "public_key")]
    pub manifests: Vec<PathBuf>,
}

/// Prints the manifests with the annotations, as YAML documents in JSON's notation.
pub(crate) fn run(arguments: &VouchArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let signer = signer(&arguments.key)?;
    if arguments.public_key {
        writeln!(out, "{}", signer.public_key())?;
        return Ok(Outcome::Passed);
    }
    if arguments.user.is_empty() {
        return Err(CliError::Input("`--as` expects the name of a user".to_owned()));
    }
    for manifest in manifest::read(&arguments.manifests, &arguments.namespace)? {
        let Manifest { file, line, mut value, object } = manifest;
        signer.vouch(&arguments.user, &arguments.groups, &object.key, &mut value).map_err(
            |error| {
                CliError::Input(format!("{file}:{line}: {} can't be signed: {error}", object.key))
            },
        )?;
        let text = serde_json::to_string_pretty(&value)
            .map_err(|error| CliError::Input(format!("{file}:{line}: {error}")))?;
        writeln!(out, "---\n{text}")?;
    }
    Ok(Outcome::Passed)
}

fn signer(path: &Path) -> Result<Signer, CliError> {
    let fail = |error: &dyn std::fmt::Display| {
        CliError::Input(format!("can't read the key `{}`: {error}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    let mut key = Vec::new();
    file.take(KEY_BYTES_MAX).read_to_end(&mut key).map_err(|error| fail(&error))?;
    Signer::read(&key).map_err(|error| fail(&error))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    fn vouch(dir: &std::path::Path, words: &[&str]) -> (crate::Outcome, String) {
        let key = dir.join("key.pem");
        std::fs::write(&key, KEY).expect("written");
        let key = key.to_string_lossy().into_owned();
        let words: Vec<&str> =
            ["pinfold", "vouch", "--key", &key].into_iter().chain(words.iter().copied()).collect();
        let arguments = crate::Arguments::try_parse_from(words).expect("arguments");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = crate::run(&arguments, &mut out, &mut err);
        out.append(&mut err);
        (outcome, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn manifests_come_out_signed() {
        let dir = tempfile::tempdir().expect("a folder");
        let manifest = dir.path().join("role.yaml");
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules: []\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: n}\n";
        std::fs::write(&manifest, role).expect("written");
        let manifest = manifest.to_string_lossy().into_owned();
        let (outcome, said) = vouch(
            dir.path(),
            &["--as", "alice", "--as-group", "a", "--as-group", "b", "-n", "acme", &manifest],
        );
        assert_eq!(outcome, crate::Outcome::Passed, "{said}");
        assert_eq!(said.matches("\"pinfold.dev/vouched-user\": \"alice\"").count(), 2, "{said}");
        assert_eq!(said.matches("\"pinfold.dev/vouched-groups\": \"a,b\"").count(), 2);
        assert_eq!(said.matches("pinfold.dev/vouched-signature").count(), 2);
        assert!(said.contains("\"namespace\": \"acme\""));
        // Ed25519 is deterministic, so this is the signature, and another one means that the signed text has changed.
        let signature = "Tvqm2jf87oTBbRk3RtYe75Kafgl4+mU1msYdhjrIhrYEuKhIoMUoANGF8u1O71JwzN/6AQOkscGNmT02OfzyCQ==";
        assert!(said.contains(signature), "{said}");
        assert!(!said.contains("PRIVATE"));
    }

    #[test]
    fn what_it_says_when_it_cannot() {
        let dir = tempfile::tempdir().expect("a folder");
        let (outcome, said) = vouch(dir.path(), &["--public-key"]);
        assert_eq!(
            (outcome, said.trim()),
            (crate::Outcome::Passed, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        );
        let nameless = dir.path().join("x.yaml");
        std::fs::write(
            &nameless,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x-}\n",
        )
        .expect("written");
        let nameless = nameless.to_string_lossy().into_owned();
        let (outcome, said) = vouch(dir.path(), &["--as", "alice", &nameless]);
        assert_eq!(outcome, crate::Outcome::Undecided);
        assert!(
            said.contains("x.yaml:1: ConfigMap default/ can't be signed: an object without a name"),
            "{said}"
        );
    }
}
