//! PF-TRU-005: pools, repositories and filesystem policies that an AgentServiceAccount, a trigger rule or a pool doesn't allow.
//!
//! Judged where each is said: the stack, the trigger rule, the run and its attempts, and at last the pods, by the records of the runs that they are for.
//! What is named and not there yet is judged when it comes; a view that lags is confirmed live.

mod accounts;
mod filesystem;
mod pods;
mod records;

use pinfold_model::facts::Operation;
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Change, Facts};

pub(super) use self::filesystem::reads_only;
use super::keeps;
use crate::context::{Context, Found};

const RULE: RuleId = RuleId::TRU_ALLOWED;

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    if !facts.subresource.is_empty() {
        return;
    }
    let change = match facts.operation {
        Operation::Update => facts.change,
        Operation::Create | Operation::Delete | Operation::Connect => Change::Content,
    };
    if let Facts::Workload(workload) = &object.facts
        && change != Change::Garbage
        && !keeps(context, object)
    {
        pods::judge(context, object, workload, found);
    }
    // What was allowed when it was said may go on, also if less is allowed by now.
    if change == Change::Content {
        records::judge(context, object, found);
    }
}

#[cfg(test)]
mod tests;
