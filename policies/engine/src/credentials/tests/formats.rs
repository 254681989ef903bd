//! Every pattern with a fixed form: two made-up tokens that are found, and four that are nearly tokens and aren't: one character short, filled
//! with the same character, inside a word, and (of patterns by name) under a name that says nothing.
//!
//! `{12h}` stands for twelve characters of an alphabet of [`ALPHABETS`].

use std::collections::BTreeSet;

use super::super::check::checksum_of;
use super::super::scan::SLOTS_MAX;
use super::super::set;
use super::{named, random};

const ALPHABETS: [(char, &str); 8] = [
    ('w', "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    ('h', "0123456789abcdef"),
    ('l', "0123456789abcdefghijklmnopqrstuvwxyz"),
    ('u', "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ('d', "0123456789"),
    ('3', "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    ('e', "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
    ('a', "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
];

/// Pattern, the name that its value goes by (none for patterns by keyword), form, at its shortest.
const FORMS: &[(&str, &str, &str)] = &[
    ("age-secret-key", "", "AGE-SECRET-KEY-1{58e}"),
    ("age-post-quantum-key", "", "AGE-SECRET-KEY-PQ-1{58e}"),
    ("github-token", "", "ghp_{30w}{crc}"),
    ("github-token", "", "gho_{30w}{crc}"),
    ("github-token", "", "ghs_{30w}{crc}"),
    ("github-fine-grained-token", "", "github_pat_{22w}_{59w}"),
    ("npm-token", "", "npm_{30w}{crc}"),
    ("aws-access-key-id", "", "AKIA{163}"),
    ("aws-access-key-id", "", "ASIA{163}"),
    ("aws-secret-access-key", "AWS_SECRET_ACCESS_KEY", "{40w}"),
    ("aws-session-token", "", "IQoJb3JpZ2lu{80w}"),
    ("aws-bedrock-key", "", "ABSK{100w}"),
    ("google-api-key", "", "AIza{35w}"),
    ("google-oauth-client-secret", "", "GOCSPX-{28w}"),
    ("google-oauth-token", "", "ya29.{20w}"),
    ("azure-client-secret", "", "{3w}8Q~{31w}"),
    ("azure-named-secret", "AZURE_CLIENT_SECRET", "{32w}"),
    ("digitalocean-token", "", "dop_v1_{64h}"),
    ("alibaba-access-key-id", "", "LTAI{17w}"),
    ("cloudflare-token", "", "cfut_{40w}"),
    ("cloudflare-named-key", "CLOUDFLARE_API_TOKEN", "{37w}"),
    ("heroku-key", "", "HRKU-{36w}"),
    ("heroku-named-key", "HEROKU_API_KEY", "{8h}-{4h}-{4h}-{4h}-{12h}"),
    ("fly-token", "", "fo1_{43w}"),
    ("vercel-token", "", "vcp_{24w}"),
    ("netlify-token", "", "nfp_{36w}"),
    ("supabase-key", "", "sbp_{40h}"),
    ("supabase-key", "", "sb_secret_{22w}"),
    ("planetscale-token", "", "pscale_pw_{32w}"),
    ("terraform-token", "", "{14w}.atlasv1.{60w}"),
    ("vault-token", "", "hvs.{24w}"),
    ("doppler-token", "", "dp.pt.{40w}"),
    ("pulumi-token", "", "pul-{40h}"),
    ("openshift-token", "", "sha256~{43w}"),
    ("gitlab-token", "", "glpat-{20w}"),
    ("gitlab-token", "", "glrt-{20w}"),
    ("bitbucket-token", "", "ATBB{32w}"),
    ("atlassian-token", "", "ATATT3xFfGF0{60w}"),
    ("crates-io-token", "", "cio{32w}"),
    ("rubygems-token", "", "rubygems_{48h}"),
    ("nuget-key", "", "oy2{43l}"),
    ("docker-token", "", "dckr_pat_{27w}"),
    ("artifactory-key", "", "AKCp{69w}"),
    ("sonar-token", "", "squ_{40h}"),
    ("snyk-token", "SNYK_TOKEN", "{8h}-{4h}-{4h}-{4h}-{12h}"),
    ("postman-key", "", "PMAK-{24h}-{34h}"),
    ("octopus-key", "", "API-{26u}"),
    ("sourcegraph-token", "", "sgp_{40h}"),
    ("anthropic-key", "", "sk-ant-api03-{80w}"),
    ("openai-key", "", "sk-proj-{20w}T3BlbkFJ{20w}"),
    ("openrouter-key", "", "sk-or-v1-{64h}"),
    ("sk-key", "", "sk-{32w}"),
    ("huggingface-token", "", "hf_{34w}"),
    ("groq-key", "", "gsk_{52w}"),
    ("xai-key", "", "xai-{80w}"),
    ("perplexity-key", "", "pplx-{40w}"),
    ("replicate-token", "", "r8_{37w}"),
    ("nvidia-key", "", "nvapi-{60w}"),
    ("cohere-key", "COHERE_API_KEY", "{40w}"),
    ("mistral-key", "MISTRAL_API_KEY", "{32w}"),
    ("langsmith-key", "", "lsv2_pt_{32h}_{10h}"),
    ("wandb-key", "WANDB_API_KEY", "{40h}"),
    ("pinecone-key", "", "pcsk_{5w}_{50w}"),
    ("databricks-token", "", "dapi{32h}"),
    ("slack-token", "", "xoxb-{11d}-{12d}-{18w}"),
    ("slack-app-token", "", "xapp-1-A{10u}-{13d}-{40h}"),
    ("slack-configuration-token", "", "xoxe.xoxp-1-{100w}"),
    ("slack-webhook", "", "https://hooks.slack.com/services/T{8u}/B{8u}/{18w}"),
    ("discord-webhook", "", "https://discord.com/api/webhooks/{18d}/{60w}"),
    ("discord-bot-token", "DISCORD_TOKEN", "M{23w}.{6w}.{27w}"),
    (
        "teams-webhook",
        "",
        "https://acme.webhook.office.com/webhookb2/{8h}-{4h}-{4h}-{4h}-{12h}@{8h}-{4h}-{4h}-{4h}-{12h}/IncomingWebhook/{32h}/{8h}-{4h}-{4h}-{4h}-{12h}",
    ),
    ("telegram-bot-token", "", "{9d}:AA{33w}"),
    ("stripe-key", "", "sk_live_{16w}"),
    ("stripe-key", "", "whsec_{32w}"),
    ("square-token", "", "sq0atp-{22w}"),
    ("shopify-token", "", "shpat_{32h}"),
    ("twilio-api-key", "", "SK{32h}"),
    ("twilio-auth-token", "TWILIO_AUTH_TOKEN", "{32h}"),
    ("sendgrid-key", "", "SG.{22w}.{43w}"),
    ("mailgun-key", "", "key-{32h}"),
    ("mailchimp-key", "", "{32h}-us7"),
    ("brevo-key", "", "xkeysib-{64h}-{16w}"),
    ("linear-key", "", "lin_api_{40w}"),
    ("notion-token", "", "ntn_{40w}"),
    ("airtable-token", "AIRTABLE_API_KEY", "pat{14w}.{64h}"),
    ("figma-token", "", "figd_{38w}"),
    ("okta-token", "OKTA_API_TOKEN", "00{40w}"),
    ("datadog-key", "DD_API_KEY", "{32h}"),
    ("datadog-prefixed-key", "", "ddapp_{34w}"),
    ("newrelic-key", "", "NRAK-{27u}"),
    ("newrelic-license-key", "NEW_RELIC_LICENSE_KEY", "{40h}"),
    ("grafana-token", "", "glsa_{32w}_{8h}"),
    ("sentry-token", "", "sntryu_{64h}"),
    ("dynatrace-token", "", "dt0c01.{24u}.{64u}"),
    ("splunk-hec-token", "SPLUNK_HEC_TOKEN", "{8h}-{4h}-{4h}-{4h}-{12h}"),
    ("pagerduty-key", "PAGERDUTY_INTEGRATION_KEY", "{32h}"),
    ("honeycomb-key", "", "hcaik_{58l}"),
    ("kubeadm-token", "JOIN_TOKEN", "{6l}.{16l}"),
    ("tailscale-key", "", "tskey-auth-{8w}-{20w}"),
    ("ngrok-token", "NGROK_AUTHTOKEN", "{20w}_{17w}"),
    ("azure-storage-key", "", "AccountKey={86w}=="),
    ("azure-shared-access-key", "", "SharedAccessKey={43w}="),
    ("azure-sas", "", "https://a.blob/c?sv=2&sig={43w}%3D"),
    ("gcp-service-account-key", "", "\"private_key_id\": \"{40h}\""),
    ("wireguard-private-key", "", "PrivateKey = {43w}="),
    ("json-web-key", "", "{\"kty\":\"oct\",\"k\":\"{20w}\"}"),
    ("cloudflare-origin-ca-key", "", "v1.0-{24h}-{146h}"),
    ("putty-private-key", "", "PuTTY-User-Key-File-3: ssh-ed25519"),
    ("password-hash", "", "$2y$12${53w}"),
    ("password-hash", "", "$6${16w}${86w}"),
    ("password-hash", "", "$apr1${8w}${22w}"),
    ("onepassword-token", "", "ops_eyJ{200w}"),
    ("pypi-token", "", "pypi-AgEIcHlwaS5vcmc{50w}"),
    ("github-installation-token", "", "ghs_{6d}_eyJ{10w}.eyJ{8w}"),
];

/// Patterns whose form is more than characters: `texts.rs` has their cases.
const ELSEWHERE: [&str; 9] = [
    "private-key",
    "pgp-private-key",
    "kubernetes-token",
    "jwt",
    "bearer-token",
    "basic-authorization",
    "database-url-password",
    "url-password",
    "curl-password",
];
const ELSEWHERE_TOO: [&str; 1] = ["docker-config-auth"];

/// Writes a form out; `cut` takes a character off its last part, `same` fills every part with one character.
fn written(form: &str, seed: u64, cut: bool, same: bool) -> String {
    let parts: Vec<&str> = form.split('{').collect();
    let last = parts.iter().rposition(|part| split_part(part).is_some());
    let mut text = String::new();
    let mut before = String::new();
    for (index, (salt, part)) in (0_u64..).zip(parts).enumerate() {
        let Some((part, plain)) = split_part(part) else {
            text.push_str(if index == 0 { "" } else { "{" });
            text.push_str(part);
            continue;
        };
        let seed = seed.wrapping_mul(31).wrapping_add(salt);
        let mut piece = if part == "crc" { checksum_of(&before) } else { filled(part, seed, same) };
        if cut && Some(index) == last {
            piece.pop();
        }
        text.push_str(&piece);
        text.push_str(plain);
        before = piece;
    }
    text
}

/// `12h` and what follows, of `12h}...`.
fn split_part(part: &str) -> Option<(&str, &str)> {
    let (part, plain) = part.split_once('}')?;
    let is_part = part == "crc" || part.starts_with(|first: char| first.is_ascii_digit());
    is_part.then_some((part, plain))
}

fn filled(part: &str, seed: u64, same: bool) -> String {
    let mut digits = part.to_owned();
    let alphabet = digits.pop().expect("an alphabet");
    let length: usize = digits.parse().expect("a number");
    let (_, alphabet) = ALPHABETS.iter().find(|(name, _)| *name == alphabet).expect("an alphabet");
    if same {
        return alphabet.chars().next_back().expect("one").to_string().repeat(length);
    }
    random(alphabet, length, seed)
}

fn has(name: &str, text: &str, id: &str) -> bool {
    named(name, text).iter().any(|one| one.starts_with(&format!("{id}=")))
}

#[test]
fn every_form_is_found_and_what_is_nearly_one_is_not() {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    for (id, name, form) in FORMS {
        for seed in [1, 2, 3] {
            let text = written(form, seed, false, false);
            expect(has(name, &text, id), format!("{id}: {text} is {:?}", named(name, &text)));
            let around = format!("see \"{text}\", and the rest");
            expect(!name.is_empty() || has("", &around, id), format!("{id}: {around}"));
        }
        if *id == "putty-private-key" {
            continue;
        }
        let tail = form.rsplit('}').next().unwrap_or_default();
        let short = written(form, 1, true, false);
        expect(!has(name, &short, id), format!("{id}: one short: {short}{tail}"));
        let same = written(form, 1, false, true);
        let unchecked = [
            "age-secret-key",
            "age-post-quantum-key",
            "password-hash",
            "cloudflare-origin-ca-key",
            "onepassword-token",
            "pypi-token",
            "github-installation-token",
            "grafana-token",
            "teams-webhook",
        ];
        expect(unchecked.contains(id) || !has(name, &same, id), format!("{id}: filled: {same}"));
        if !name.is_empty() {
            let text = written(form, 1, false, false);
            expect(!has("NOTE", &text, id), format!("{id}: without its name"));
        } else if form.starts_with(|first: char| first.is_ascii_alphabetic())
            && !form.starts_with("http")
        {
            let inside = format!("x{}", written(form, 1, false, false));
            expect(!has("", &inside, id), format!("{id}: inside a word: {inside}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_pattern_that_ships_has_a_case_and_a_source() {
    let set = set::build(pinfold_model::policy::literals::SHIPPED)
        .unwrap_or_else(|error| panic!("{error}"));
    let tested: BTreeSet<&str> =
        FORMS.iter().map(|(id, ..)| *id).chain(ELSEWHERE).chain(ELSEWHERE_TOO).collect();
    let shipped: BTreeSet<&str> = set.patterns.iter().map(|pattern| pattern.id.as_str()).collect();
    assert_eq!(tested, shipped);
    let slots =
        set.patterns.iter().map(|pattern| pattern.program.get_nfa().group_info().slot_len());
    assert!(slots.max() <= Some(SLOTS_MAX));
    assert_eq!(shipped.len(), set.patterns.len(), "an id twice");
    assert!(shipped.len() >= 100);
    for line in
        pinfold_model::policy::literals::SHIPPED.lines().filter(|line| line.contains("- {id: "))
    {
        assert!(line.contains(", source: \""), "{line}");
    }
}

#[test]
fn a_checksum_that_is_wrong_is_no_token() {
    // The example of the npm and GitHub announcement: computed once with another implementation of CRC-32.
    assert_eq!(checksum_of("JrTAwR4y9ojfljoQoaF1LlqsajAIxN"), "36ueU0");
    assert_eq!(checksum_of("SH4487q7J58m1CiAhzCueQpBenQtYh"), "3dwyTl");
    let body = random(ALPHABETS[0].1, 36, 9);
    assert!(!has("", &format!("ghp_{body}"), "github-token"));
    assert!(!has("", &format!("npm_{body}"), "npm-token"));
    // Under the name of a token it is one all the same, whatever kind.
    assert!(has("GITHUB_TOKEN", &format!("ghp_{body}"), "named-secret"));
}
