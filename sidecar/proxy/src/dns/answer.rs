//! One query, from its bytes to those of its reply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pinfold_engine::dns::{self, Question, QuestionPermit, RecordType};
use pinfold_ledger::EventKind;
use pinfold_model::host::DnsName;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::dns::{
    Answer, AskedName, Data, ExtendedError, Fault, Query, Reply, ResponseCode, read, strip_service,
};

use crate::gate::{Gate, log_denial};
use crate::learn;
use crate::policy_watch::Published;
use crate::record::Case;
use crate::resolve::Found;

/// The agent is told that an answer holds at least so long, in seconds: one that holds no time would be asked for again and again.
const TTL_MIN: u32 = 5;
/// And at most so long, so that a changed policy is seen by who keeps names.
const TTL_MAX: u32 = 300;
/// An address stays bound to its name for this time after the agent was told to forget it: clients connect late.
const GRACE: Duration = Duration::from_secs(120);
/// Whoever asks waits no longer; resolvers of libraries wait 5 seconds.
const ANSWER_MAX: Duration = Duration::from_millis(4_500);
/// The port of DNS, for records.
const PORT: u16 = 53;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    fn reply_bytes_max(self, query: &Query) -> usize {
        match self {
            Self::Udp => query.udp_reply_bytes_max(),
            Self::Tcp => usize::from(u16::MAX),
        }
    }
}

/// Records that were judged; none is an answer too.
struct Judged {
    code: ResponseCode,
    answers: Vec<Answer>,
}

/// Answers one message; nothing if it must not be answered.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    message: &[u8],
    transport: Transport,
) -> Option<Vec<u8>> {
    let published = gate.policy.load_full();
    let query = match read(message) {
        Ok(query) => query,
        Err(fault) => {
            refuse(gate, &published, None, &fault_denial(fault)).await;
            return fault.reply(message);
        }
    };
    let judged = match tokio::time::timeout(ANSWER_MAX, judge(gate, &published, &query)).await {
        Ok(judged) => judged,
        Err(_) => Err(late(&query)),
    };
    match judged {
        Ok(Judged { code, answers }) => {
            gate.metrics.dns(None);
            let reply = Reply { query: &query, code, answers: &answers, error: None };
            Some(reply.encode(transport.reply_bytes_max(&query)))
        }
        Err(denial) => {
            refuse(gate, &published, Some(&query), &denial).await;
            let learned = learned(gate, &published.policy, &query, &denial);
            Some(match &learned {
                Some(answers) => {
                    let code = ResponseCode::NoError;
                    let reply = Reply { query: &query, code, answers, error: None };
                    reply.encode(transport.reply_bytes_max(&query))
                }
                None => refusal(&query, &denial, transport),
            })
        }
    }
}

fn learned(
    gate: &Gate,
    policy: &AgentPolicy,
    query: &Query,
    denial: &Denial,
) -> Option<Vec<Answer>> {
    let AskedName::Host(name) = &query.name else { return None };
    learn::answers(gate, policy, (name, RecordType(query.kind)), denial)
}

/// Answers one message when too many are being worked on: nothing is looked at, and nothing waits.
pub(super) fn overloaded(gate: &Gate, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let query = read(message).ok()?;
    let text = "too many queries at once";
    let denial = Denial::new(Reason::Limit, "spec.egress.dns", text, "ask for fewer names at once");
    gate.metrics.dns(Some(&denial));
    Some(refusal(&query, &denial, transport))
}

async fn judge(gate: &Gate, published: &Published, query: &Query) -> Result<Judged, Denial> {
    if !gate.guard.is_intact() {
        return Err(unguarded());
    }
    if !published.in_force {
        return Err(no_policy());
    }
    let policy = &published.policy;
    gate.kills.holds_for(&policy.name)?;
    let kind = RecordType(query.kind);
    let judged = match &query.name {
        AskedName::Host(name) => {
            gate.resolver.with_search(|search| dns::judge(policy, &Question { name, kind, search }))
        }
        AskedName::Other(text) => Err(dns::refuse_text(text, kind)),
    };
    // What a search list makes is no work, and would use up the tokens of the name that is meant.
    let noise = |denial: &Denial| denial.reason == Reason::SearchSuffix;
    let rate = policy.dns.queries_per_second_max;
    if !judged.as_ref().is_err_and(noise) && !gate.dns.budgets.take(rate, Instant::now()) {
        return Err(too_fast(rate));
    }
    let permit = judged?;
    if permit.is_wildcard() {
        let (rule, name) = (permit.rule(), permit.name());
        permit.novelty(gate.dns.budgets.new_names(rule, name, Instant::now()))?;
    }
    let found = gate.resolver.lookup(permit.name(), permit.kind()).await?;
    if !found.exists {
        return Ok(Judged { code: ResponseCode::NameError, answers: Vec::new() });
    }
    let answers = told(gate, policy, &permit, &found)?;
    Ok(Judged { code: ResponseCode::NoError, answers })
}

/// Judges what was found and binds it. Aliases are not told: the addresses stand at the name that was asked for, which is the one that
/// policy lists.
fn told(
    gate: &Gate,
    policy: &AgentPolicy,
    permit: &QuestionPermit,
    found: &Found,
) -> Result<Vec<Answer>, Denial> {
    let checked = permit.addresses(policy, &found.addresses)?;
    let ttl = found.ttl.clamp(TTL_MIN, TTL_MAX);
    let addresses = checked.addresses();
    if !addresses.is_empty() {
        let life = Duration::from_secs(ttl.into()).saturating_add(GRACE);
        let group = if permit.is_wildcard() { permit.rule() } else { permit.name().as_str() };
        gate.bindings.bind(group, permit.name(), addresses, life);
    }
    let services = found.services.iter().filter_map(|data| strip_service(data));
    let may_lead = |target: &Option<DnsName>| {
        target.as_ref().is_none_or(|target| permit.may_lead_to(policy, target))
    };
    let services = services.filter(|service| may_lead(&service.target));
    let services = services.map(|service| Data::Service(service.data));
    let data = addresses.iter().map(|address| match address {
        std::net::IpAddr::V4(address) => Data::V4(*address),
        std::net::IpAddr::V6(address) => Data::V6(*address),
    });
    Ok(data.chain(services).map(|data| Answer { ttl, data }).collect())
}

/// Counts a denial, and records it unless it equals one of this second or is nobody's doing.
async fn refuse(gate: &Gate, published: &Arc<Published>, query: Option<&Query>, denial: &Denial) {
    gate.metrics.dns(Some(denial));
    if denial.reason == Reason::SearchSuffix {
        return;
    }
    let mut case = Case::new(gate.ids.next(), EventKind::Dns, Arc::clone(published));
    case.protocol = "dns";
    case.endpoint = query.map(|query| (query.name.as_str().to_owned(), PORT));
    case.method = query.map(|query| RecordType(query.kind).to_string());
    let Some(kind) = gate.dns.denials.first(&case, denial) else { return };
    // What can't be recorded is logged there, shows in readiness, and is denied all the same.
    if gate.recorder.write(&case, Err(denial), None).await.is_err() {
        gate.dns.denials.forget(kind);
    }
    log_denial(&case, denial);
}

fn refusal(query: &Query, denial: &Denial, transport: Transport) -> Vec<u8> {
    let (code, number) = codes(denial.reason);
    let text = format!("{} ({}): {}", denial.reason, denial.rule, denial.message);
    let error = Some(ExtendedError { code: number, text: &text });
    Reply { query, code, answers: &[], error }.encode(transport.reply_bytes_max(query))
}

/// The response code, and the extended one of RFC 8914.
///
/// A name that only a search list made gets "no such name", because resolvers go on with the next suffix only then; everything else that
/// policy denies gets "refused", which no resolver takes for a fact about the name.
fn codes(reason: Reason) -> (ResponseCode, u16) {
    const OTHER: u16 = 0;
    const BLOCKED: u16 = 15;
    const PROHIBITED: u16 = 18;
    const NO_REACHABLE_AUTHORITY: u16 = 22;
    match reason {
        Reason::SearchSuffix => (ResponseCode::NameError, PROHIBITED),
        Reason::Host | Reason::RecordType | Reason::Port | Reason::Protocol | Reason::Name => {
            (ResponseCode::Refused, PROHIBITED)
        }
        Reason::Address => (ResponseCode::Refused, BLOCKED),
        Reason::Resolve | Reason::Upstream | Reason::Reply => {
            (ResponseCode::ServerFailure, NO_REACHABLE_AUTHORITY)
        }
        Reason::Audit | Reason::Guard | Reason::NoPolicy => (ResponseCode::ServerFailure, OTHER),
        Reason::KillSwitch => (ResponseCode::Refused, PROHIBITED),
        Reason::Limit
        | Reason::Budget
        | Reason::Rate
        | Reason::Breaker
        | Reason::Malformed
        | Reason::Method
        | Reason::Path
        | Reason::Server
        | Reason::Tool
        | Reason::Argument
        | Reason::RpcMethod => (ResponseCode::Refused, OTHER),
    }
}

fn fault_denial(fault: Fault) -> Denial {
    let reason = if fault.is_unsupported() { Reason::RecordType } else { Reason::Malformed };
    let message = format!("the DNS message can't be judged: {fault}");
    Denial::new(reason, "dns.message", message, "send one plain question of class IN")
}

fn too_fast(rate: u32) -> Denial {
    let message = format!("more than {rate} DNS queries a second");
    let remedy = "ask more slowly, or raise `spec.egress.dns.maxQps`";
    Denial::new(Reason::Limit, "spec.egress.dns.maxQps", message, remedy)
}

fn late(query: &Query) -> Denial {
    let message = format!("`{}` has no answer within {ANSWER_MAX:?}", query.name.as_str());
    Denial::new(
        Reason::Resolve,
        "spec.egress",
        message,
        "check the sidecar's resolver, then try again",
    )
}

fn no_policy() -> Denial {
    let message = "there is no policy: its files are gone, or no longer hold this agent's";
    Denial::new(Reason::NoPolicy, "spec", message, "put the policy back")
}

fn unguarded() -> Denial {
    let message = "the pod's firewall rules are not as they should be";
    Denial::new(Reason::Guard, "guard", message, "see the sidecar's log; restart the pod")
}
