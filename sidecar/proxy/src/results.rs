//! The record of what was found in a result: kinds and numbers, never what it was.

use pinfold_ledger::EventKind;
use pinfold_model::reason::Denial;
use pinfold_redact::Findings;

use crate::gate::Gate;
use crate::record::Case;

impl Gate {
    /// Records what was taken out of a result or looks like an injection, if anything; durable when this returns.
    ///
    /// # Errors
    /// A denial of reason `audit`: a whole reply is then not passed on.
    pub(crate) async fn found(
        &self,
        case: &Case,
        rule: &str,
        findings: &Findings,
    ) -> Result<(), Denial> {
        if findings.is_empty() {
            return Ok(());
        }
        let found =
            Case { kind: EventKind::ToolResult, findings: findings.to_words(), ..case.clone() };
        self.recorder.write(&found, Ok(rule), None).await
    }
}
