//! The command line of `pinfold explain`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ClusterArguments;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// What is asked.
    #[command(subcommand)]
    pub question: Explain,
}

/// What is asked.
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// What an identity may do, where, and by which chain of bindings and roles.
    WhatCan(WhatCanArguments),
    /// Who may do something, and by which chain.
    WhoCan(WhoCanArguments),
    /// What a proposed binding would give, to whom, what of it is new, and what the webhook says.
    Binding(BindingArguments),
    /// Whether a stack may be dispatched: identities, roles, Secrets and ConfigMaps with their grants, what is missing and what would fix it.
    Review(ReviewArguments),
    /// Print the JSON Schema of an answer.
    Schema {
        /// Which answer.
        answer: Answer,
    },
}

/// Answers that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answer {
    /// Of `explain what-can -o json`.
    WhatCan,
    /// Of `explain who-can -o json`.
    WhoCan,
    /// Of `explain binding -o json`.
    Binding,
    /// Of `explain review -o json`.
    Review,
}

/// Arguments of `explain what-can`.
#[derive(Debug, Args)]
pub struct WhatCanArguments {
    /// `NAMESPACE/NAME` of a ServiceAccount, `AgentStack/NAME` or `RunnerPool/NAME`.
    #[arg(value_name = "IDENTITY", required_unless_present_any = ["user", "groups"])]
    pub identity: Option<String>,
    /// A user instead.
    #[arg(long, value_name = "USER", conflicts_with = "identity")]
    pub user: Option<String>,
    /// Groups of that user; without a user, what every member may do.
    #[arg(long = "group", value_name = "GROUP", conflicts_with = "identity")]
    pub groups: Vec<String>,
    /// Namespace of an identity that names none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Only what counts in this namespace.
    #[arg(long = "in", value_name = "NAMESPACE")]
    pub place: Option<String>,
    /// Policy files and directories: which accounts are agents, and their ceilings.
    #[arg(short, long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Output format.
    #[arg(short, long, default_value = "table")]
    pub output: ExplainOutput,
}

/// Arguments of `explain who-can`.
#[derive(Debug, Args)]
pub struct WhoCanArguments {
    /// Verb, such as `get`, `bind`, `escalate`, `impersonate`.
    pub verb: String,
    /// `RESOURCE[.GROUP][/SUBRESOURCE]` in the plural, or a URL path such as `/metrics`.
    pub resource: String,
    /// Name of one object; by default any.
    #[arg(default_value = "")]
    pub name: String,
    /// Only in this namespace; by default, or with `all`, wherever somebody can.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Only agent identities, and groups that they are in.
    #[arg(long)]
    pub agents: bool,
    /// Policy files and directories: which accounts are agents, and their ceilings.
    #[arg(short, long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Output format.
    #[arg(short, long, default_value = "table")]
    pub output: ExplainOutput,
}

/// Arguments of `explain binding`.
#[derive(Debug, Args)]
pub struct BindingArguments {
    /// Files and directories with RoleBindings, ClusterRoleBindings or AgentRoleBindings, or `-`; other objects in them count as applied too.
    #[arg(required = true, value_name = "FILE")]
    pub manifests: Vec<PathBuf>,
    /// Who would apply them.
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// Groups of that user.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    pub groups: Vec<String>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Policy files and directories.
    #[arg(short, long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Print the native objects that would be written, as YAML; the same as `-o yaml`.
    #[arg(long, conflicts_with = "output")]
    pub render: bool,
    /// Output format.
    #[arg(short, long, default_value = "table")]
    pub output: BindingOutput,
}

/// Arguments of `explain review`.
#[derive(Debug, Args)]
pub struct ReviewArguments {
    /// The AgentStack: `NAME`, or `NAMESPACE/NAME`.
    #[arg(long, value_name = "STACK")]
    pub stack: String,
    /// The repository that it is to work on, as its grants name it: `ORG/NAME`.
    #[arg(long, value_name = "REPOSITORY")]
    pub repository: String,
    /// The ref: `refs/heads/main`, `refs/pull/7/head`; a plain `main` is `refs/heads/main`.
    #[arg(long = "ref", value_name = "REF")]
    pub git_ref: String,
    /// The repository that the code comes from, if it is another: a fork.
    #[arg(long, value_name = "REPOSITORY", default_value = "")]
    pub head_repository: String,
    /// What sets it off, as grants name it: `manual`, `pull-request`, `comment`, `schedule`.
    #[arg(long, value_name = "TRIGGER")]
    pub trigger: String,
    /// The runner pool; by default the stack's own.
    #[arg(long, value_name = "POOL", default_value = "")]
    pub pool: String,
    /// Namespace of a stack that names none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Policy files and directories.
    #[arg(short, long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Output format.
    #[arg(short, long, default_value = "table")]
    pub output: ReviewOutput,
}

/// Output formats of `explain review`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReviewOutput {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// The grants that are missing, as manifests to review and apply.
    Yaml,
}

/// Output formats of `explain what-can` and `who-can`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExplainOutput {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// A picture, for Graphviz.
    Dot,
}

/// Output formats of `explain binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BindingOutput {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// A picture, for Graphviz.
    Dot,
    /// The native objects that would be written.
    Yaml,
}
