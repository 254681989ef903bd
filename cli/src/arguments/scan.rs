//! Arguments of `scan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pinfold_engine::scan::danger::Danger;

use super::ClusterArguments;

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub struct ScanArguments {
    /// Policy files and directories; by default the baseline that ships.
    #[arg(short, long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// What is scanned.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Only objects in these namespaces.
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// Don't look at these resources, such as `secrets` or `workflows.argoproj.io`; nothing is asked about them.
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', conflicts_with = "cluster")]
    pub without: Vec<String>,
    /// Only findings of these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub rules: Vec<String>,
    /// Only findings at least this dangerous.
    #[arg(long, value_name = "DANGER", default_value = "low")]
    pub min_danger: MinDanger,
    /// Output format.
    #[arg(short, long, default_value = "table")]
    pub output: ScanOutput,
    /// No progress bar.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Output formats of `scan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScanOutput {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// PolicyReport objects (wgpolicyk8s.io/v1alpha2), YAML.
    #[value(name = "policyreport")]
    PolicyReport,
    /// Report objects (openreports.io/v1alpha1), YAML.
    #[value(name = "openreports")]
    OpenReports,
}

/// The least danger that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MinDanger {
    /// Leads to all of the cluster.
    Critical,
    /// Crosses a boundary.
    High,
    /// Against the policy.
    Medium,
    /// Everything.
    Low,
}

impl MinDanger {
    pub(crate) fn get(self) -> Danger {
        match self {
            Self::Critical => Danger::Critical,
            Self::High => Danger::High,
            Self::Medium => Danger::Medium,
            Self::Low => Danger::Low,
        }
    }
}
