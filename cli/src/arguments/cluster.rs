//! Which cluster a command looks at.

use std::path::PathBuf;

use clap::Args;

/// Objects in files, or a running cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArguments {
    /// Objects that exist: files and directories, instead of a running cluster.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    pub cluster: Vec<PathBuf>,
    /// Configuration of the running cluster; by default the one that kubectl would use.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of that configuration.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}
