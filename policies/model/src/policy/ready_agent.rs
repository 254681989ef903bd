//! Raw AgentPolicy to ready AgentPolicy: the checks that look at more than one field.

use super::agent::{
    AgentPolicy, AppliesTo, CONNECTIONS_DEFAULT, Credential, DnsLimits, EgressLimits, EgressRule,
    HttpRule, IDLE_DEFAULT, Protocol, QUERIES_PER_SECOND_DEFAULT, RESOLVERS_MAX,
    RESULT_BYTES_DEFAULT, Target, Tool, ToolServer, Upstream, ValueRule, Via,
};
use super::agent_raw::{
    RawAgent, RawAppliesTo, RawCredential, RawCredentialSource, RawDns, RawEgressRule, RawLimits,
    RawProtocol, RawTool, RawToolServer, RawUpstream, RawVia,
};
use super::inject;
use super::place::Place;
use super::raw::RawValueRule;
use super::roots::roots;
use super::switches::{breaker, call_limits, kill_switch};
use super::values::{PathGlob, ValueTest};
use crate::digest::Digest;
use crate::document::{DocumentError, nearest};
use crate::host::{DnsName, Host};

type Errors = Vec<DocumentError>;

/// Longest name of a policy, upstream or server.
pub(super) const NAME_BYTES_MAX: usize = 63;

pub(super) fn agent(
    name: &str,
    (digest, source): (Digest, &str),
    raw: &RawAgent,
    place: &Place<'_>,
) -> Result<AgentPolicy, Errors> {
    let mut errors = Vec::new();
    let egress_place = place.field("egress").field("allow");
    let egress = gather(&raw.egress.allow, &egress_place, &mut errors, egress_rule);
    let upstreams = gather(&raw.upstreams, &place.field("upstreams"), &mut errors, upstream);
    unique(upstreams.iter().map(|item| item.name.as_str()), &place.field("upstreams"), &mut errors);
    let servers_place = place.field("tools").field("servers");
    let servers = gather(&raw.tools.servers, &servers_place, &mut errors, |raw, place| {
        server(raw, place, &upstreams)
    });
    unique(servers.iter().map(|item| item.name.as_str()), &servers_place, &mut errors);
    let applies_to = applies_to(&raw.applies_to, &place.field("appliesTo"), &mut errors);
    let at = place.field("egress");
    let dns = dns(&raw.egress.dns, &at.field("dns"), &mut errors);
    let via = raw.egress.via.as_ref().map(|raw| via(raw, &at.field("via")));
    let via = taken(via.transpose(), &mut errors);
    let roots = roots(&raw.tls, &place.field("tls"), &mut errors);
    loopback_ports(&raw.egress.loopback_ports, &at.field("loopbackPorts"), &mut errors);
    let results = &raw.tools.results;
    let (rate, budget) = (raw.tools.rate.as_ref(), raw.tools.budget.as_ref());
    let call_limits = taken(call_limits(rate, budget, &place.field("tools")), &mut errors);
    let kill_switch = taken(kill_switch(raw.kill_switch.as_ref(), place), &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(AgentPolicy {
        name: name.to_owned(),
        digest,
        source: source.into(),
        applies_to,
        egress,
        connections_max: raw.egress.limits.connections.unwrap_or(CONNECTIONS_DEFAULT),
        limits: limits(&raw.egress.limits),
        dns,
        ech: raw.egress.ech.unwrap_or_default(),
        loopback_ports: raw.egress.loopback_ports.clone(),
        via,
        roots,
        mode: raw.mode.unwrap_or_default(),
        upstreams,
        servers,
        call_limits,
        kill_switch,
        result_bytes_max: results.max_bytes.as_ref().map_or(RESULT_BYTES_DEFAULT, |b| b.0),
        redacts_secrets: results.redact.as_ref().is_none_or(|list| !list.is_empty()),
        injection: results.injection.unwrap_or_default(),
    })
}

/// The value, or its default beside the error that is kept.
fn taken<T: Default>(ready: Result<T, DocumentError>, errors: &mut Errors) -> T {
    ready.unwrap_or_else(|error| {
        errors.push(error);
        T::default()
    })
}

fn loopback_ports(ports: &[u16], place: &Place<'_>, errors: &mut Errors) {
    if ports.contains(&0) || ports.len() > inject::LOOPBACK_PORTS_MAX {
        let most = inject::LOOPBACK_PORTS_MAX;
        errors.push(place.error(format!("expected at most {most} ports from 1 to 65535")));
    }
    if let Some(port) = ports.iter().find(|port| inject::CLOSED_PORTS.contains(port)) {
        let text = format!("`{port}` is the sidecar's own or DNS, and stays closed to agents");
        errors.push(place.error(text));
    }
}

fn limits(raw: &RawLimits) -> EgressLimits {
    EgressLimits {
        connect_rate: raw.connect_rate.as_ref().map(|rate| rate.0),
        bytes_per_day: raw.bytes_per_day.as_ref().map(|bytes| bytes.0),
        bytes_per_connection: raw.bytes_per_connection.as_ref().map(|bytes| bytes.0),
        life_max: raw.connection_life.as_ref().map(|time| time.0),
        idle_max: raw.connection_idle.as_ref().map_or(IDLE_DEFAULT, |time| time.0),
    }
}

fn dns(raw: &RawDns, place: &Place<'_>, errors: &mut Errors) -> DnsLimits {
    let mut search_suffixes = Vec::with_capacity(raw.search_suffixes.len());
    for (index, text) in raw.search_suffixes.iter().enumerate() {
        match DnsName::parse(text) {
            Ok(name) => search_suffixes.push(name),
            Err(error) => {
                let place = place.field("searchSuffixes").item(index);
                errors.push(place.error(format!("`{text}`: {error}")));
            }
        }
    }
    let queries_per_second_max = raw.max_qps.unwrap_or(QUERIES_PER_SECOND_DEFAULT);
    if queries_per_second_max == 0 {
        errors.push(place.field("maxQps").error("expected at least 1"));
    }
    if raw.resolvers.len() > RESOLVERS_MAX {
        let text =
            format!("expected at most {RESOLVERS_MAX} resolvers, found {}", raw.resolvers.len());
        errors.push(place.field("resolvers").error(text));
    }
    let resolvers = raw.resolvers.iter().map(|resolver| resolver.0).collect();
    DnsLimits { search_suffixes, queries_per_second_max, resolvers }
}

fn via(raw: &RawVia, place: &Place<'_>) -> Result<Via, DocumentError> {
    let url = split_url(&raw.url).map_err(|message| place.field("url").error(message))?;
    if url.tls || !url.path.is_empty() {
        return Err(place.field("url").error("expected `http://host:port` without a path"));
    }
    let credential = raw.credential.as_ref().map(|raw| credential(raw, place)).transpose()?;
    if credential.as_ref().is_some_and(|credential| credential.header != "proxy-authorization") {
        let place = place.field("credential").field("header");
        return Err(place.error("expected `Proxy-Authorization`"));
    }
    Ok(Via { place: place.path(), host: url.host, port: url.port, credential })
}

/// Readies every item of a list, gathering all errors.
fn gather<R, T>(
    raw: &[R],
    place: &Place<'_>,
    errors: &mut Errors,
    ready: impl Fn(&R, &Place<'_>) -> Result<T, DocumentError>,
) -> Vec<T> {
    let mut items = Vec::with_capacity(raw.len());
    for (index, item) in raw.iter().enumerate() {
        match ready(item, &place.item(index)) {
            Ok(item) => items.push(item),
            Err(error) => errors.push(error),
        }
    }
    items
}

fn unique<'n>(names: impl Iterator<Item = &'n str>, place: &Place<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for (index, name) in names.enumerate() {
        if seen.contains(&name) {
            errors.push(place.item(index).field("name").error(format!("`{name}` is named twice")));
        }
        seen.push(name);
    }
}

fn applies_to(raw: &RawAppliesTo, place: &Place<'_>, errors: &mut Errors) -> AppliesTo {
    for key in raw.selector.keys().filter(|key| *key != "matchLabels") {
        let message = format!("unknown field `{key}`: expected `matchLabels`");
        errors.push(place.field("selector").error(message));
    }
    let labels = raw.selector.get("matchLabels").into_iter().flatten();
    AppliesTo {
        namespaces: raw.namespaces.iter().map(|glob| glob.0.clone()).collect(),
        agent_stacks: raw.agent_stacks.clone(),
        labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

fn egress_rule(raw: &RawEgressRule, place: &Place<'_>) -> Result<EgressRule, DocumentError> {
    let target = match (&raw.host, &raw.cidr) {
        (Some(host), None) => Target::Host(host.0.clone()),
        (None, Some(cidr)) => Target::Network(cidr.0),
        (Some(_), Some(_)) => return Err(place.error("expected `host` or `cidr`, found both")),
        (None, None) => return Err(place.error("expected `host` or `cidr`")),
    };
    if raw.ports.is_empty() || raw.ports.contains(&0) {
        return Err(place.field("ports").error("expected ports from 1 to 65535"));
    }
    let http = raw.methods.is_some() || raw.paths.is_some() || raw.websocket.is_some();
    let seen = || {
        let rule = http_rule(raw.methods.as_deref(), raw.paths.as_deref(), place)?;
        Ok(HttpRule { websocket: raw.websocket.unwrap_or(false), ..rule })
    };
    let protocol = match raw.protocol {
        RawProtocol::Http => Protocol::Http(seen()?),
        RawProtocol::Https => Protocol::Https(seen()?),
        RawProtocol::Tls | RawProtocol::Tcp if http => {
            let message = "`methods`, `paths` and `websocket` need `protocol: http` or `https`: nothing else can be seen";
            return Err(place.error(message));
        }
        RawProtocol::Tls => Protocol::Tls,
        RawProtocol::Tcp => Protocol::Tcp,
    };
    Ok(EgressRule { place: place.path(), target, ports: raw.ports.clone(), protocol })
}

fn http_rule(
    methods: Option<&[String]>,
    paths: Option<&[PathGlob]>,
    place: &Place<'_>,
) -> Result<HttpRule, DocumentError> {
    let token = |method: &String| {
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    };
    if let Some(bad) = methods.into_iter().flatten().find(|method| !token(method)) {
        let message = format!("expected methods such as `GET`, found `{bad}`");
        return Err(place.field("methods").error(message));
    }
    if let Some(bad) = paths.into_iter().flatten().find(|path| !path.0.as_str().starts_with('/')) {
        let message = format!("expected paths that start with `/`, found `{}`", bad.0);
        return Err(place.field("paths").error(message));
    }
    Ok(HttpRule {
        methods: methods.map(<[String]>::to_vec),
        paths: paths.map(|paths| paths.iter().map(|path| path.0.clone()).collect()),
        websocket: false,
    })
}

fn check_name(name: &str, place: &Place<'_>) -> Result<(), DocumentError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let message = "expected 1 to 63 lower-case letters, digits and hyphens";
        return Err(place.field("name").error(message));
    }
    Ok(())
}

fn upstream(raw: &RawUpstream, place: &Place<'_>) -> Result<Upstream, DocumentError> {
    check_name(&raw.name, place)?;
    let url = split_url(&raw.url).map_err(|message| place.field("url").error(message))?;
    let loopback = match &url.host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name.as_str() == "localhost",
    };
    if !url.tls && raw.credential.is_some() && !loopback {
        return Err(place.field("credential").error("a credential needs an `https` URL"));
    }
    Ok(Upstream {
        place: place.path(),
        name: raw.name.clone(),
        tls: url.tls,
        host: url.host,
        port: url.port,
        base_path: url.path,
        allow_private: raw.allow_private.unwrap_or(loopback),
        credential: raw.credential.as_ref().map(|raw| credential(raw, place)).transpose()?,
        http: http_rule(raw.methods.as_deref(), raw.paths.as_deref(), place)?,
        breaker: breaker(raw.breaker.as_ref(), place)?,
    })
}

struct Url {
    tls: bool,
    host: Host,
    port: u16,
    path: String,
}

/// Splits a URL of the two schemes that there are; no userinfo, query or fragment.
fn split_url(text: &str) -> Result<Url, String> {
    let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(format!("expected `https://` or `http://`, found `{text}`")),
    };
    if rest.contains(['@', '?', '#', '%', '\\']) {
        return Err("expected a URL without user, query, fragment or encodings".to_owned());
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let port_at =
        authority.rfind(':').filter(|at| !authority.get(*at..).unwrap_or("").contains(']'));
    let (host, port) = match port_at.map(|at| authority.split_at(at)) {
        Some((host, port)) => {
            let port = port.trim_start_matches(':').parse::<u16>().ok().filter(|port| *port > 0);
            (host, port.ok_or("expected a port from 1 to 65535")?)
        }
        None if tls => (authority, 443),
        None => (authority, 80),
    };
    let host = Host::parse(host).map_err(|error| format!("`{host}`: {error}"))?;
    Ok(Url { tls, host, port, path: path.trim_end_matches('/').to_owned() })
}

fn credential(raw: &RawCredential, place: &Place<'_>) -> Result<Credential, DocumentError> {
    let place = place.field("credential");
    let header = raw.header.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let framing = ["host", "content-length", "transfer-encoding", "connection"];
    if header.is_empty() || !header.bytes().all(token) || framing.contains(&header.as_str()) {
        return Err(place.field("header").error("expected a header such as `Authorization`"));
    }
    let (file, secret) = credential_source(&raw.from, &place.field("from"))?;
    let format = raw.format.as_deref().unwrap_or("{}");
    let printable = format.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match format.split_once("{}") {
        Some((prefix, suffix)) if printable && !suffix.contains("{}") => Ok(Credential {
            header,
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            file,
            secret,
        }),
        Some(_) | None => Err(place.field("format").error("expected text with one `{}`")),
    }
}

/// The file and, if that is where it comes from, the Secret and its key.
type Source = (String, Option<(String, String)>);

fn credential_source(
    raw: &RawCredentialSource,
    place: &Place<'_>,
) -> Result<Source, DocumentError> {
    match (&raw.file, &raw.secret) {
        (Some(file), None) => Ok((file.clone(), None)),
        (None, Some(secret)) => {
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let named = |text: &str| {
                (1..=253).contains(&text.len())
                    && text.bytes().all(plain)
                    && !text.starts_with("..")
            };
            if !named(&secret.name) || !named(&secret.key) {
                return Err(place.field("secret").error("expected the name and a key of a Secret"));
            }
            let (name, key) = (secret.name.clone(), secret.key.clone());
            let file = format!("{}/{name}/{key}", inject::SECRETS_DIR);
            Ok((file, Some((name, key))))
        }
        (Some(_), Some(_)) => Err(place.error("expected `file` or `secret`, found both")),
        (None, None) => Err(place.error("expected `file` or `secret`")),
    }
}

fn server(
    raw: &RawToolServer,
    place: &Place<'_>,
    upstreams: &[Upstream],
) -> Result<ToolServer, DocumentError> {
    check_name(&raw.name, place)?;
    let Some(name) = &raw.upstream else {
        return Err(place.error("expected `upstream`"));
    };
    if !upstreams.iter().any(|upstream| upstream.name == *name) {
        let known = upstreams.iter().map(|upstream| upstream.name.as_str());
        let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?"));
        let message = format!("no upstream `{name}` in this policy{}", hint.unwrap_or_default());
        return Err(place.field("upstream").error(message));
    }
    let allow_place = place.field("allow");
    let mut allow: Vec<Tool> = Vec::with_capacity(raw.allow.len());
    for (index, item) in raw.allow.iter().enumerate() {
        let tool = tool(item, &allow_place.item(index))?;
        if allow.iter().any(|earlier| earlier.name == tool.name) {
            let message = format!("tool `{}` is listed twice", tool.name);
            return Err(allow_place.item(index).field("tool").error(message));
        }
        allow.push(tool);
    }
    Ok(ToolServer {
        place: place.path(),
        name: raw.name.clone(),
        upstream: name.clone(),
        allow,
        deny: raw.deny.clone(),
        call_limits: call_limits(raw.rate.as_ref(), raw.budget.as_ref(), place)?,
    })
}

fn tool(raw: &RawTool, place: &Place<'_>) -> Result<Tool, DocumentError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if raw.tool.is_empty() || raw.tool.len() > 128 || !raw.tool.bytes().all(plain) {
        let message = "expected 1 to 128 letters, digits, `-`, `_` and `.`; there are no patterns";
        return Err(place.field("tool").error(message));
    }
    let arguments = raw.arguments.clone().unwrap_or_default();
    let rules_place = place.field("arguments").field("rules");
    let rules = arguments.rules.iter().enumerate().map(|(index, raw)| {
        let place = rules_place.item(index);
        if raw.message.is_some() {
            return Err(place.field("message").error("argument rules have no `message`"));
        }
        value_rule(raw, &place)
    });
    let rules: Vec<ValueRule> = rules.collect::<Result<_, _>>()?;
    if arguments.closed && rules.iter().any(|rule| rule.path.first_member().is_none()) {
        let message = "with `closed`, every rule's path must begin with the name of an argument";
        return Err(rules_place.error(message));
    }
    Ok(Tool {
        place: place.path(),
        name: raw.tool.clone(),
        closed: arguments.closed,
        rules,
        call_limits: call_limits(raw.rate.as_ref(), raw.budget.as_ref(), place)?,
        breaker: breaker(raw.breaker.as_ref(), place)?,
    })
}

/// A path with its tests; at least one.
pub(super) fn value_rule(
    raw: &RawValueRule,
    place: &Place<'_>,
) -> Result<ValueRule, DocumentError> {
    let flag = |set: Option<bool>, name: &str, test: ValueTest| match set {
        None => Ok(None),
        Some(true) => Ok(Some(test)),
        Some(false) => Err(place.field(name).error("expected `true`; leave it out otherwise")),
    };
    let tests = [
        raw.equals.clone().map(ValueTest::Equals),
        raw.any_of.clone().map(ValueTest::In),
        raw.not_in.clone().map(ValueTest::NotIn),
        raw.matches.clone().map(|pattern| ValueTest::Matches(pattern.0)),
        raw.glob.clone().map(|pattern| ValueTest::Glob(pattern.0)),
        raw.starts_with.clone().map(ValueTest::StartsWith),
        raw.ends_with.clone().map(ValueTest::EndsWith),
        raw.min.map(ValueTest::Min),
        raw.max.map(ValueTest::Max),
        raw.max_length.map(ValueTest::MaxLength),
        raw.json_type.map(ValueTest::Type),
        raw.exists.map(ValueTest::Exists),
        flag(raw.host, "host", ValueTest::Host)?,
        flag(raw.path_safe, "pathSafe", ValueTest::PathSafe)?,
    ];
    let tests: Vec<ValueTest> = tests.into_iter().flatten().collect();
    if tests.is_empty() {
        return Err(place.error("expected at least one test such as `equals` or `in`"));
    }
    let path = raw.path.0.clone();
    Ok(ValueRule { path, tests, optional: raw.optional.unwrap_or(false) })
}
