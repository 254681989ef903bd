//! `/upstreams/NAME/...`: a request to a named upstream, with the credential that the agent never sees.
//!
//! Redirects are passed on and never followed, so the credential goes nowhere else; its value is taken out of the reply.

use std::num::NonZeroU16;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode, header};
use pinfold_engine::egress;
use pinfold_engine::switches::breaker::Breaks;
use pinfold_ledger::EventKind;
use pinfold_model::policy::agent::Upstream;
use pinfold_model::reason::{Denial, Reason};
use pinfold_redact::{CREDENTIAL, Redactor};
use pinfold_wire::authority::Authority;
use pinfold_wire::encode::ForwardHead;
use pinfold_wire::head::Head;
use pinfold_wire::path::{PathError, RequestPath};

use crate::breakers::Pass;
use crate::client::Client;
use crate::credential::{self, Injected};
use crate::exchange::{Failure, Means, exchange};
use crate::gate::{Gate, Refusal};
use crate::gateway::{PROTOCOL, refuse};
use crate::quota::Meter;
use crate::record::Case;
use crate::tunnels::{Spoken, Tunnel};
use crate::upstream::{Connected, connect, open, permit};

/// Of the agent's own fields, what never passes beside an injected credential: other credentials, and ranges, by which a value could
/// be read in parts.
const DROPPED: &[HeaderName] =
    &[header::AUTHORIZATION, header::COOKIE, header::RANGE, header::IF_RANGE];
/// What says where the agent is.
const DROPPED_ALWAYS: &[HeaderName] = &[header::ORIGIN, header::REFERER];

/// Serves one request. Whether the connection goes on.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    client: &mut Client,
    head: &Head,
    name: &str,
    rest: &str,
) -> bool {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = PROTOCOL;
    case.method = Some(head.method.to_string());
    case.trace(&head.headers);
    let published = Arc::clone(&case.published);
    let refusal = match published.policy.upstream(name) {
        None => unknown(name, &published.policy.upstreams).into(),
        Some(upstream) => {
            case.endpoint = Some((upstream.host.to_string(), upstream.port));
            match watched(gate, client, head, (upstream, rest), &case).await {
                Ok(keep_alive) => return keep_alive,
                Err(Failure::Broken) => return false,
                Err(Failure::Cut(denial)) => {
                    gate.refused(&case, denial).await;
                    return false;
                }
                Err(Failure::Unanswered(refusal) | Failure::Gone(refusal)) => refusal,
            }
        }
    };
    refuse(gate, client, head, &case, refusal).await
}

fn unknown(name: &str, upstreams: &[Upstream]) -> Denial {
    let known: Vec<String> = upstreams.iter().map(|known| format!("`{}`", known.name)).collect();
    let message = format!("the policy has no upstream `{}`", name.escape_debug());
    let remedy = match known.as_slice() {
        [] => "add it to `spec.upstreams`".to_owned(),
        known => format!("use {}, or add it to `spec.upstreams`", known.join(" or ")),
    };
    Denial::new(Reason::Host, "spec.upstreams", message, remedy)
}

/// How a request went, for the breakers.
struct Watch<'g> {
    connections: Pass<'g>,
    status: Option<StatusCode>,
}

/// Forwards past the breakers of the upstream.
async fn watched(
    gate: &Arc<Gate>,
    client: &mut Client,
    head: &Head,
    (upstream, rest): (&Upstream, &str),
    case: &Case,
) -> Result<bool, Failure> {
    let failed = |denial: Denial| Failure::Unanswered(denial.into());
    let policy = &case.published.policy;
    gate.kills.holds(case).map_err(failed)?;
    egress::check_plain(policy, upstream).map_err(failed)?;
    let pass = |of| gate.breakers.pass(policy, of).map_err(failed);
    let mut watch =
        Watch { connections: pass(Breaks::Upstream(upstream.name.clone()))?, status: None };
    let mut requests = pass(Breaks::Requests(upstream.name.clone()))?;
    let done = forward(gate, client, head, (upstream, rest, &mut watch), case).await;
    let of_upstream =
        |refusal: &Refusal| [Reason::Upstream, Reason::Reply].contains(&refusal.denial.reason);
    match (&done, watch.status) {
        (_, Some(status)) if status.is_server_error() => requests.failed(),
        (Ok(_), _) => requests.worked(),
        // What failed before there was a connection is counted there.
        (Err(Failure::Unanswered(refusal) | Failure::Gone(refusal)), _)
            if watch.connections.has_worked() && of_upstream(refusal) =>
        {
            requests.failed();
        }
        (Err(_), _) => {}
    }
    done
}

async fn forward(
    gate: &Arc<Gate>,
    client: &mut Client,
    head: &Head,
    (upstream, rest, watch): (&Upstream, &str, &mut Watch<'_>),
    case: &Case,
) -> Result<bool, Failure> {
    let failed = |denial: Denial| Failure::Unanswered(denial.into());
    let (judged, sent) = paths(upstream, rest).map_err(|error| {
        let status = StatusCode::BAD_REQUEST;
        Failure::Unanswered(Refusal::malformed(status, error.reason(), error.to_string()))
    })?;
    let permit = permit(gate, upstream, head.method.as_str(), judged.decoded()).await;
    let permit = watch.connections.reachable(permit).map_err(failed)?;
    let injected = credential::read(upstream).map_err(failed)?;
    gate.allowed(case, permit.rule(), &permit).await.map_err(failed)?;
    let connected = watch.connections.reachable(connect(gate, upstream, permit).await);
    let Connected { mut connection, permit, reused } = connected.map_err(failed)?;
    watch.connections.worked();
    let tunnel = Tunnel {
        host: upstream.host.clone(),
        port: upstream.port,
        address: connection.address,
        spoken: Spoken::Upstream {
            name: upstream.name.clone(),
            method: head.method.to_string(),
            path: judged.decoded().to_owned(),
        },
    };
    let registered = gate.enter(&tunnel, case).map_err(failed)?;
    let forward = forward_head(head, upstream, &sent, injected.as_ref()).map_err(failed)?;
    let known = gate.upstreams.known.of(injected.as_ref(), &upstream.place).map_err(failed)?;
    let meter = Meter::new(gate);
    let mut means = Means {
        limits: &gate.limits,
        meter: &meter,
        rule: permit.rule(),
        redactor: known.map(Redactor::new),
        status: None,
    };
    let passed = async {
        match exchange(client, head, &forward, &mut connection, &mut means).await {
            Err(Failure::Gone(_)) if reused => {
                connection = open(gate, upstream, &permit).await.map_err(failed)?;
                exchange(client, head, &forward, &mut connection, &mut means).await
            }
            done => done,
        }
    };
    let done = tokio::select! {
        done = passed => done,
        () = registered.cut() => Err(Failure::Broken),
    };
    watch.status = means.status;
    if let Some(redactor) = &means.redactor {
        gate.metrics.redacted(CREDENTIAL, redactor.found());
    }
    let keep_alive = done?;
    if keep_alive {
        gate.upstreams.keep(upstream, connection);
    }
    Ok(keep_alive)
}

/// The path that rules are matched against, which is the one below the upstream's URL, and the one that is sent.
fn paths(upstream: &Upstream, rest: &str) -> Result<(RequestPath, RequestPath), PathError> {
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let judged = RequestPath::parse(&format!("{slash}{rest}"))?;
    let base = &upstream.base_path;
    let sent = match base.as_str() {
        "" => judged.clone(),
        base => RequestPath::parse(&format!("{base}{rest}"))?,
    };
    Ok((judged, sent))
}

/// The authority of an upstream's URL.
pub(crate) fn authority(upstream: &Upstream) -> Authority {
    let default = if upstream.tls { 443 } else { 80 };
    let port = NonZeroU16::new(upstream.port).filter(|port| port.get() != default);
    Authority { host: upstream.host.clone(), port }
}

fn forward_head(
    head: &Head,
    upstream: &Upstream,
    path: &RequestPath,
    injected: Option<&Injected>,
) -> Result<ForwardHead, Denial> {
    let mut forward = ForwardHead::to(head, &authority(upstream), path);
    DROPPED_ALWAYS.iter().for_each(|name| forward.remove(name));
    let Some(Injected { name, value, .. }) = injected else { return Ok(forward) };
    DROPPED.iter().for_each(|name| forward.remove(name));
    // A twin of the credential's header (`x_api_key`) would be read as the same one by some servers.
    let twin =
        |other: &&HeaderName| other.as_str().replace('_', "-") == name.as_str().replace('_', "-");
    let twins: Vec<HeaderName> = forward.headers().keys().filter(twin).cloned().collect();
    twins.iter().for_each(|name| forward.remove(name));
    let set = |forward: &mut ForwardHead, name: HeaderName, value: HeaderValue| {
        forward.set(name, value).map_err(|error| {
            let rule = format!("{}.credential.header", upstream.place);
            Denial::new(Reason::Upstream, rule, error.to_string(), "choose another header")
        })
    };
    set(&mut forward, header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
    set(&mut forward, name.clone(), value.clone())?;
    Ok(forward)
}
