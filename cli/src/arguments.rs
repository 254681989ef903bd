//! The command line.

mod cluster;
mod explain;
mod scan;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use cluster::ClusterArguments;
pub(crate) use explain::{
    Answer, BindingArguments, BindingOutput, Explain, ExplainArguments, ExplainOutput,
    ReviewArguments, ReviewOutput, WhatCanArguments, WhoCanArguments,
};
pub(crate) use scan::{ScanArguments, ScanOutput};

/// The security gate for AI agents on Kubernetes, offline.
#[derive(Debug, Parser)]
#[command(name = "pinfold", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The webhook's decision for each object of some manifests.
    Check(CheckArguments),
    /// The sidecar's decision on one connection or tool call.
    Try(TryArguments),
    /// Run PolicyTest files.
    Test(TestArguments),
    /// Why: what somebody may do, who may do something, what a binding would add, and by which chain.
    Explain(ExplainArguments),
    /// What a cluster already has that would be refused.
    Scan(ScanArguments),
    /// Sign manifests that a deputy applies, with the name of the person behind them.
    Vouch(crate::vouch::VouchArguments),
    /// Check and describe policy documents.
    Policy(PolicyArguments),
    /// Verify audit logs.
    Audit(AuditArguments),
    /// Propose a policy from what the sidecar refused.
    Learn(crate::learn::LearnArguments),
    /// Start both gates here, without a cluster, and play attacks against them.
    Demo,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Policy files and directories.
    #[arg(short, long = "policy", required = true, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Objects that exist: files and directories.
    #[arg(long, value_name = "PATH")]
    pub cluster: Vec<PathBuf>,
    /// Who applies the manifests; rules that need to know are undecided without.
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// Groups of that user.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    pub groups: Vec<String>,
    /// Uid of that user.
    #[arg(long = "as-uid", value_name = "UID", requires = "user", default_value = "")]
    pub uid: String,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// CREATE, UPDATE or DELETE; by default CREATE, or UPDATE for objects that `--cluster` holds.
    #[arg(long, value_name = "OPERATION")]
    pub operation: Option<String>,
    /// The objects as they were before, for UPDATE.
    #[arg(long, value_name = "PATH")]
    pub old: Vec<PathBuf>,
    /// Output format.
    #[arg(short, long, default_value = "human")]
    pub output: CheckOutput,
    /// Manifests: files, directories, or `-` for standard input.
    #[arg(required = true, value_name = "MANIFEST")]
    pub manifests: Vec<PathBuf>,
}

/// Output formats of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people.
    Human,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// `JUnit` XML, for CI.
    Junit,
    /// GitHub workflow commands.
    Github,
}

/// Arguments of `try`.
#[derive(Debug, Args)]
pub struct TryArguments {
    /// Policy files and directories.
    #[arg(short, long = "policy", required = true, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Name of the AgentPolicy; not needed when there is one.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Output format.
    #[arg(short, long, default_value = "human")]
    pub output: TryOutput,
    /// What is tried.
    #[command(subcommand)]
    pub attempt: Attempt,
}

/// Output formats of `try`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TryOutput {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

/// What is tried.
#[derive(Debug, Subcommand)]
pub enum Attempt {
    /// A connection: a URL, or `HOST:PORT`.
    Egress {
        /// `https://host/path`, `http://host/path`, `wss://` and `ws://` for WebSocket, `tcp://host:port` for any protocol, or `host:port`.
        destination: String,
        /// HTTP method of a URL.
        #[arg(long, default_value = "GET")]
        method: String,
    },
    /// A DNS query.
    Dns {
        /// Name.
        name: String,
        /// Record type: A, AAAA, TXT, TYPE65, ...
        #[arg(default_value = "A")]
        kind: String,
    },
    /// A tool call.
    Tool {
        /// MCP server.
        server: String,
        /// Tool.
        tool: String,
        /// Arguments: a JSON object, or `-` for standard input.
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// A model call.
    Model {
        /// Model.
        name: String,
    },
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// Output format.
    #[arg(short, long, default_value = "human")]
    pub output: TestOutput,
    /// PolicyTest files, and directories that hold some.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Output formats of `test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestOutput {
    /// For people.
    Human,
    /// One JSON document.
    Json,
    /// `JUnit` XML.
    Junit,
}

/// Arguments of `policy`.
#[derive(Debug, Args)]
pub struct PolicyArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Read policies as the gates do, and report every error.
    Validate {
        /// Policy files and directories.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Show what is in force, and with `--agent` what an agent's pod carries of it.
    Show(crate::policy::show::ShowArguments),
    /// Print the JSON Schema of a kind, for editors.
    Schema {
        /// AdmissionPolicy, AgentPolicy or PolicyTest.
        kind: String,
    },
    /// Print the CustomResourceDefinitions of the agent resources, for clusters that lack them.
    Crds {
        /// One API group; both if it is left out.
        #[arg(long, value_parser = pinfold_model::object::AGENT_GROUPS)]
        group: Option<String>,
    },
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with audit logs.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Verify chain, checkpoints and length.
    Verify {
        /// Public key that must have signed the checkpoints; by default the directory's own `key.pub`.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Audit directories and files.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}
