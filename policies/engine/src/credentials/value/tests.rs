//! Values under names of each kind: what can be a credential, and what only stands where one would.

use super::super::name::Kind;
use super::{is_plausible, is_random};

#[test]
fn passwords() {
    let yes = [
        "hunter2",
        "SuperSecretPassword123!",
        "giteaPassword1234",
        "S3cure!Pass",
        "p4ssw0rd!",
        "correct-horse-9!",
        "Tr0ub4dor&3",
        "admin1",
        "Zx9#kLmQ",
        "qWeRtYuIoPaSdFgHjK",
    ];
    let no = [
        "",
        "abc1",
        "changeme",
        "changeme123",
        "postgres",
        "admin",
        "myPassword",
        "your-password-1",
        "${DB_PASSWORD}",
        "$(PASSWORD)",
        "$PASSWORD",
        "{{ .Values.password }}",
        "<password>",
        "<your pass1>",
        "/run/secrets/db1",
        "./pass1",
        "xxxxxx1",
        "******",
        "true",
        "null",
        "12345678",
        "vault:secret/data/x#1",
        "op://vault/item/1",
        "db-credentials",
        "my-password-1",
        "my-db-2",
        "redis-master-7",
        "http://a.b/c1",
        "ENC[AES256,data:1]",
        "a b c 1",
        "os.environ.get",
        "config.db.pass",
        "111111a",
    ];
    for value in yes {
        assert!(is_plausible(Kind::Password, value), "{value}");
    }
    for value in no {
        assert!(!is_plausible(Kind::Password, value), "{value}");
    }
}

#[test]
fn secrets() {
    let yes = [
        "9f86d081884c7d659a2feaa0c55ad015",
        "kJ8sNq2vXw5zB7mT",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "a8F3kd92",
        "Zm9vYi1yYmF6cXV4MTIzNA==",
        "QmVhcmVyLXR4a2VuLTk5",
        "qWeRtYuIoPaSdFgHjK",
        "x7Kp-92mQ-4vTz-81sW",
    ];
    let no = [
        "model-key",
        "tls-cert-v2",
        "acme-key-7f9c4d",
        "app-sa-dockercfg-x2b4z",
        "registry.example/a:1.2",
        "30m",
        "Bearer",
        "my-app-config-12",
        "kubernetes.io/tls",
        "projects/p/secrets/s1",
        "arn:aws:secretsmanager:eu-1:1:secret",
        "cert-manager-webhook-ca",
        "12345678901234567890",
        "application/json",
        "AWS_SECRET_ACCESS_KEY",
        "client_secret_basic",
        "spec.token1",
        "v1.35.4",
        "sk-your-key-here-1234",
        "xxxxxxxxxxxxxxxx1",
    ];
    for value in yes {
        assert!(is_plausible(Kind::Secret, value), "{value}");
    }
    for value in no {
        assert!(!is_plausible(Kind::Secret, value), "{value}");
    }
}

#[test]
fn randomness_of_tokens() {
    assert!(is_random("kJ8sNq2vXw5zB7mT"));
    for value in [
        "xxxxxxxxxxxxxxxxxxxx",
        "your_token_here_1234",
        "AKIAIOSFODNN7EXAMPLE",
        "aaaaabbbbb",
        "1234567890abcdef1234",
    ] {
        assert!(!is_random(value), "{value}");
    }
}
