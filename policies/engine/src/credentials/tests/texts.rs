//! Credentials in texts: keys, tokens with a structure, URLs, headers, assignments, encodings; each with what looks like it and isn't one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pinfold_model::policy::literals::Literals;

use super::super::scanner;
use super::{found, named, random};

const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn ids(name: &str, text: &str) -> Vec<String> {
    let one = |found: &String| found.split('=').next().unwrap_or_default().to_owned();
    named(name, text).iter().map(one).collect()
}

fn pem(kind: &str) -> String {
    let dashes = "-".repeat(5);
    let (one, two) = (random(BASE64, 64, 4), random(BASE64, 64, 5));
    format!("{dashes}BEGIN {kind}{dashes}\n{one}\n{two}\n{dashes}END {kind}{dashes}\n")
}

fn jwt(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        encode(header),
        encode(claims),
        random("abcdefghABCDEFGH0123456789_-", 43, 6)
    )
}

#[test]
fn keys() {
    for kind in [
        "RSA PRIVATE KEY",
        "PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ] {
        let text = pem(kind);
        assert_eq!(found(&text), [format!("private-key={}", text.trim_end())], "{kind}");
        assert_eq!(
            ids("", &format!("a: b\nkey: |\n  {}", text.replace('\n', "\n  "))),
            ["private-key"]
        );
        assert_eq!(ids("", &serde_json::to_string(&text).expect("JSON")), ["private-key"]);
        assert_eq!(ids("", &STANDARD.encode(&text)), ["private-key~base64"]);
    }
    assert_eq!(ids("", &pem("PGP PRIVATE KEY BLOCK")), ["pgp-private-key"]);
    let kubeconfig = format!(
        "users:\n- name: a\n  user:\n    client-key-data: {}\n",
        STANDARD.encode(pem("RSA PRIVATE KEY"))
    );
    assert_eq!(ids("", &kubeconfig), ["private-key~base64"]);
    for kind in [
        "CERTIFICATE",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "CERTIFICATE REQUEST",
        "PGP PUBLIC KEY BLOCK",
    ] {
        assert!(found(&pem(kind)).is_empty(), "{kind}");
        assert!(
            found(&format!("certificate-authority-data: {}", STANDARD.encode(pem(kind))))
                .is_empty(),
            "{kind}"
        );
    }
    let head = |rest: &str| format!("{}BEGIN PRIVATE KEY{}\n{rest}", "-".repeat(5), "-".repeat(5));
    for rest in ["...\n", "", "<your key here>", "${KEY}\n"] {
        assert!(found(&head(rest)).is_empty(), "{rest}");
    }
}

#[test]
fn web_tokens() {
    let user = jwt(r#"{"alg":"RS256","typ":"JWT"}"#, r#"{"sub":"agent","iat":1700000000}"#);
    assert_eq!(found(&user), [format!("jwt={user}")]);
    let account = jwt(
        r#"{"alg":"RS256","kid":"k"}"#,
        r#"{"iss":"https://k","sub":"system:serviceaccount:acme:agent"}"#,
    );
    assert_eq!(found(&format!("token: {account}")), [format!("kubernetes-token={account}")]);
    let long = jwt(r#"{"alg":"RS256"}"#, &format!(r#"{{"sub":"{}"}}"#, random(BASE64, 3_000, 7)));
    assert_eq!(found(&long), [format!("jwt={long}")], "also behind what a pattern reads");
    for text in [
        jwt(r#"{"typ":"JWT"}"#, r#"{"sub":"x"}"#),
        jwt(r#"{"alg":1}"#, r#"{"sub":"x"}"#),
        jwt("{\"alg\"", "{\"sub\":1}"),
        "eyJhbGciOiJub25lIn0".to_owned(),
        "eyJhbGciOiJub25lIn0.x.y".to_owned(),
    ] {
        assert!(found(&text).is_empty(), "{text}");
    }
}

#[test]
fn urls() {
    let cases = [
        ("postgres://app:hunter2@db:5432/x", "database-url-password=hunter2"),
        ("postgresql://app:Tr0ub4dor&3@db/x", "database-url-password=Tr0ub4dor&3"),
        ("mongodb+srv://app:s3cr3tXy9@c.mongodb.net", "database-url-password=s3cr3tXy9"),
        ("redis://:k9Qz7LmN2p@cache:6379/0", "database-url-password=k9Qz7LmN2p"),
        ("amqps://app:h7Kp2mXq@mq/v", "database-url-password=h7Kp2mXq"),
        ("https://bot:x9Kq2LmP7z@git.example/acme.git", "url-password=x9Kq2LmP7z"),
        ("clone https://bot:x9Kq2LmP7z@git.example/a now", "url-password=x9Kq2LmP7z"),
        ("curl -u bot:x9Kq2LmP7z https://api.example", "curl-password=x9Kq2LmP7z"),
        ("curl --user 'bot:x9Kq2LmP7z' https://a", "curl-password=x9Kq2LmP7z"),
    ];
    for (text, expected) in cases {
        assert_eq!(found(text), [expected], "{text}");
    }
    for text in [
        "postgres://app@db:5432/x",
        "postgres://app:$(PASSWORD)@db/x",
        "postgres://app:${PW}@db/x",
        "postgres://user:password@db/x",
        "postgres://app:<password>@db",
        "https://git.example:8443/a@b",
        "https://example.com/x?email=a:b@c",
        "amqp://guest:guest@mq",
        "https://user:pass@host",
        "http://127.0.0.1:8080",
        "redis://cache:6379",
        "docker run -u 1000:1000 x",
        "--user nobody:nogroup",
        "https://{{ user }}:{{ pass9 }}@host/",
    ] {
        assert!(found(text).is_empty(), "{text}: {:?}", found(text));
    }
}

#[test]
fn headers() {
    let token = random(BASE64, 32, 8).replace(['+', '/'], "x");
    let basic = STANDARD.encode("bot:x9Kq2LmP7z");
    let cases = [
        (format!("Authorization: Bearer {token}"), "bearer-token"),
        (format!("curl -H 'authorization: bearer {token}' x"), "bearer-token"),
        (format!("Authorization: Basic {basic}"), "basic-authorization"),
        (format!("{{\"auths\":{{\"r.example\":{{\"auth\":\"{basic}\"}}}}}}"), "docker-config-auth"),
        (
            format!("{{ \"auth\" : \"{}\" }}", STANDARD.encode("a:b7Kq2LmP7z!")),
            "docker-config-auth",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(ids("", &text), [expected], "{text}");
    }
    let empty = STANDARD.encode("bot:");
    for text in [
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer ${GITHUB_TOKEN}",
        "bearer authentication-is-required",
        "Bearer token",
        "basic authentication",
        "Basic realm=\"x\"",
        &format!("Basic {empty}"),
        "\"auth\": \"none\"",
        "\"auth\": \"kubernetes-jwt-auth\"",
    ] {
        assert!(found(text).is_empty(), "{text}: {:?}", found(text));
    }
}

#[test]
fn names_say_what_values_are() {
    let random = random("0123456789abcdef", 32, 3);
    let yes = [
        ("DB_PASSWORD", "hunter2", "named-password"),
        ("--redis-password", "hunter2", "named-password"),
        ("API_KEY", random.as_str(), "named-secret"),
        ("clientSecret", random.as_str(), "named-secret"),
        ("SESSION_TOKEN", random.as_str(), "named-secret"),
        ("FERNET_KEY", random.as_str(), "named-secret"),
        ("DB_PASSWORD", "  hunter2\n", "named-password"),
    ];
    for (name, value, expected) in yes {
        assert_eq!(ids(name, value), [expected], "{name} {value}");
    }
    let no = [
        ("idempotencyKey", random.as_str()),
        ("CACHE_KEY", random.as_str()),
        ("dedupeKey", "pr-17-9f86d081884c7d65"),
        ("NOTE", "hunter2"),
        ("NOTE", random.as_str()),
        ("COMMIT", random.as_str()),
        ("DB_PASSWORD_FILE", "hunter2"),
        ("DB_PASSWORD", "$(PW)"),
        ("DB_PASSWORD", ""),
        ("TOKEN", "30m"),
        ("secretName", "tls-9"),
        ("API_KEY", "model-key"),
        ("checksum/secret", random.as_str()),
        ("TOKEN", "true"),
        ("kubernetes.io/service-account.name", "a1b2c3d4e5"),
    ];
    for (name, value) in no {
        assert!(named(name, value).is_empty(), "{name} {value}: {:?}", named(name, value));
    }
}

#[test]
fn assignments_in_texts() {
    let text = "[db]\nuser = app\npassword = hunter2\nurl: https://db:5432\n# token: see below\ntoken_file=/run/t\n";
    assert_eq!(found(text), ["named-password=hunter2"]);
    let script = "set -e\nexport DB_PASSWORD=$(cat /run/p)\nlogin --password \"$DB_PASSWORD\" --token ${T}\n";
    assert!(found(script).is_empty(), "{:?}", found(script));
    let line = "java -Dspring.datasource.password=hunter2 -jar a.jar --auth-token k9Qz7LmN2pWx";
    assert_eq!(found(line), ["named-password=hunter2", "named-secret=k9Qz7LmN2pWx"]);
    assert_eq!(found(r#"{"user":"a","password":"hunter2"}"#), ["named-password=hunter2"]);
    for text in [
        "the secret: be kind",
        "token: string",
        "password: required",
        "apiKey: {from: env}",
        "tokenUrl: https://a.b/c1d2",
        "key: a1b2c3d4e5f6a7b8c9d0",
        "password=password",
        "secret = os.environ['A1']",
        "token := r.Header.Get(\"x1\")",
        "password: !vault 1",
    ] {
        assert!(found(text).is_empty(), "{text}: {:?}", found(text));
    }
}

#[test]
fn one_level_of_encoding() {
    let url = "postgres://app:hunter2x@db/x";
    assert_eq!(ids("", &STANDARD.encode(url)), ["database-url-password~base64"]);
    assert_eq!(
        ids("", "postgres%3A%2F%2Fapp%3Ahunter2x%40db%2Fx"),
        ["database-url-password~percent"]
    );
    assert_eq!(ids("", &STANDARD.encode(r#"{"password": "hunter2"}"#)), ["named-password~base64"]);
    assert!(found(&STANDARD.encode(STANDARD.encode(url))).is_empty(), "one level only");
    assert!(found(&STANDARD.encode("hello world, it is me")).is_empty());
}

#[test]
fn what_is_no_credential() {
    for text in [
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "sha256:8d512c9791e558e08baa7196b50ac2f86702824c1c099724caf4941d4072014b",
        "123e4567-e89b-42d3-a456-426614174000",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIbUGJmGEp7CgQ0PBQFI14zGtSnovm14TUOizwd1iaeOV a@b",
        "v1.35.4-rc.1+build",
        "registry.k8s.io/pause:3.10",
        "/var/run/secrets/tokens/github",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "the sk-learn pipeline",
        "key-value",
        "xoxb-your-token",
        "task-SK",
        "API-server",
    ] {
        assert!(found(text).is_empty(), "{text}: {:?}", found(text));
    }
}

#[test]
fn the_policy_adds_allows_and_switches_off() {
    let yaml = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: p}\nspec:\n  literals:\n    patterns: [{id: badge, match: 'ACME-[0-9]{6}', keywords: [acme]}]\n    allow: ['demo.*9']\n    off: [named-password]\n";
    let file = pinfold_model::sources::SourceFile { name: "p".to_owned(), text: yaml.to_owned() };
    let policy = pinfold_model::policy::load(&[file]).expect("a policy").admission.expect("one");
    let scan = |name: &str, text: &str| {
        let found = scanner(&policy.literals).scan(name, text).expect("within the budget");
        found.iter().map(|one| one.id.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(scan("", "my ACME-123456 badge"), ["badge"]);
    assert!(scan("", "my ACME-12345 badge").is_empty());
    assert!(scan("DB_PASSWORD", "hunter2").is_empty(), "switched off");
    assert_eq!(scan("", "redis://:k9Qz7LmN2p@c"), ["database-url-password"]);
    assert!(scan("", "redis://:demo7Kq9@c").is_empty(), "the password is allowed");
    assert!(found("").is_empty() && ids("", "x").is_empty());
    assert!(scanner(&Literals::default()).scan("", "é: password=é").is_ok());
}
