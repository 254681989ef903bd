//! Agent resources of which rules read no more than their organization and what they name.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Link, List, Named};
use super::links::Links;
use super::{NoStatus, Spec};
use crate::object::{Facts, ObjectKey};

macro_rules! tied {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $path:literal => $kind:literal,)* } all { $($(#[$list_doc:meta])* $list:ident: $list_path:literal => $list_kind:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase", default)]
            pub(in crate::object::decode) struct $name<'a> {
                /// The organization; the namespace's if it is left out.
                #[serde(borrow)]
                organization_ref: Named<'a>,
                $($(#[$field_doc])* #[serde(borrow)] $field: Link<'a>,)*
                $($(#[$list_doc])* #[serde(borrow)] $list: List<Link<'a>>,)*
            }

            impl<'a> Spec for $name<'a> {
                type Status = NoStatus;

                fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
                    let links = Links::default()
                        $(.one($kind, $path, &self.$field))*
                        $(.all($list_kind, $list_path, &self.$list))*;
                    Facts::AgentResource(Box::new(links.ties(&self.organization_ref)))
                }
            }
        )*
    };
}

tied! {
    /// A resource of the control plane.
    Other {} all {}

    /// A piece of prompt that a stack may be given.
    ContextLabel {
        /// What it was taken from.
        source_ref: "$.spec.sourceRef" => "",
    } all {}

    /// One session of an agent.
    Session {
        /// The run that it is of.
        dispatch_run: "$.spec.dispatchRun" => "AgentDispatchRun",
        /// The run that it is of, in the spelling of attempts.
        agent_dispatch_run: "$.spec.agentDispatchRun" => "AgentDispatchRun",
        /// The attempt that it is of.
        attempt: "$.spec.attempt" => "AgentDispatchAttempt",
        /// The stack.
        agent_stack: "$.spec.agentStack" => "AgentStack",
        /// The workspace that it is in.
        workspace_ref: "$.spec.workspaceRef" => "AgentWorkspace",
    } all {}

    /// Files that runs work in.
    Workspace {
        /// The run that owns it.
        owner_run: "$.spec.ownerRun" => "AgentDispatchRun",
        /// What owns it.
        owner_ref: "$.spec.ownerRef" => "",
        /// The run that it is for.
        dispatch_run: "$.spec.dispatchRun" => "AgentDispatchRun",
        /// Its policy.
        workspace_policy_ref: "$.spec.workspacePolicyRef" => "AgentWorkspacePolicy",
        /// The pool that it is on.
        runner_pool: "$.spec.runnerPool" => "RunnerPool",
    } all {
        /// Sessions that are in it.
        active_sessions: "$.spec.activeSessions" => "AgentSession",
    }

    /// What a run was given or has made, by its digest.
    Record {
        /// The run.
        dispatch_run: "$.spec.dispatchRun" => "AgentDispatchRun",
        /// The run, in the spelling of attempts.
        agent_dispatch_run: "$.spec.agentDispatchRun" => "AgentDispatchRun",
        /// The run that owns it.
        owner_run: "$.spec.ownerRun" => "AgentDispatchRun",
        /// The attempt.
        attempt: "$.spec.attempt" => "AgentDispatchAttempt",
        /// The session.
        session_ref: "$.spec.sessionRef" => "AgentSession",
        /// The artifact that is looked at.
        artifact_ref: "$.spec.artifactRef" => "AgentArtifact",
    } all {
        /// Pieces of prompt in it.
        context_label_refs: "$.spec.contextLabelRefs" => "AgentContextLabel",
    }

    /// A work item and a session.
    SessionLink {
        /// The session.
        session_ref: "$.spec.sessionRef" => "AgentSession",
        /// The run.
        dispatch_run: "$.spec.dispatchRun" => "AgentDispatchRun",
    } all {}

    /// A work item and a workspace.
    WorkspaceLink {
        /// The workspace.
        workspace_ref: "$.spec.workspaceRef" => "AgentWorkspace",
        /// The run.
        dispatch_run: "$.spec.dispatchRun" => "AgentDispatchRun",
    } all {}
}
