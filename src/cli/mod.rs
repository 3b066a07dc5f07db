//! The command line: `serve` and `up` run a service, everything else talks to one over its REST API.
//!
//! Tables for people, `-o json|yaml` for scripts; results on standard output, everything else on standard error.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod client;
mod clock;
mod cluster;
mod duration;
mod error;
mod explain_scheduling;
mod kubeconfig;
mod node_pool;
mod operation;
mod output;
mod progress;
mod provider;
mod serve;
mod settings;
mod up;

use client::ConnectionArgs;
pub use error::CliError;

const AFTER_HELP: &str = "\
Start here:
  drydock up                                    a service, a cluster and a kubeconfig in one command
  drydock serve                                 the service alone
  drydock cluster create web --nodes 3 --wait   another cluster
  drydock cluster kubeconfig web --merge        use it with kubectl

Exit codes:
  0  done                          5  not as things are now (exists, changed, not ready)
  1  failed                        6  the service cannot be reached
  2  wrong usage                   7  the operation failed
  3  there is no such thing        8  the operation did not end in time
  4  the request is invalid      130  interrupted";

/// A managed-Kubernetes provider on your own machine.
#[derive(Parser, Debug)]
#[command(name = "drydock", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start a service with a first cluster, and write its kubeconfig
    Up(up::UpArgs),
    /// Start the service
    Serve(serve::ServeArgs),
    /// Create, list, get, update and delete clusters; their kubeconfigs, clocks and audit logs
    #[command(visible_alias = "clusters", arg_required_else_help = true)]
    Cluster {
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(subcommand)]
        command: cluster::ClusterCommand,
    },
    /// Create, list, get, scale and delete the node pools of a cluster
    #[command(visible_alias = "node-pools", arg_required_else_help = true)]
    NodePool {
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(subcommand)]
        command: node_pool::NodePoolCommand,
    },
    /// List and get the cloud providers that clusters can have their nodes in
    #[command(visible_alias = "providers", arg_required_else_help = true)]
    Provider {
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(subcommand)]
        command: provider::ProviderCommand,
    },
    /// Explain why a pod is on its node, or on none: filters and scores of every node
    #[command(after_help = explain_scheduling::HELP)]
    ExplainScheduling {
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(flatten)]
        args: explain_scheduling::ExplainArgs,
    },
    /// List, get and wait for operations
    #[command(visible_alias = "operations", arg_required_else_help = true)]
    Operation {
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(subcommand)]
        command: operation::OperationCommand,
    },
    /// Write a completion script for a shell
    #[command(after_help = "Example: source <(drydock completions bash)")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return CliError::from(anyhow::Error::from(error)).report(),
    };
    let outcome = runtime.block_on(run(cli));
    // Nothing that matters runs any more; a blocking read of a terminal must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Up(args) => up::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Cluster { connection, command } => cluster::run(&connection.client()?, command).await,
        Command::NodePool { connection, command } => node_pool::run(&connection.client()?, command).await,
        Command::Provider { connection, command } => provider::run(&connection.client()?, command).await,
        Command::ExplainScheduling { connection, args } => {
            explain_scheduling::run(&connection.client()?, args).await
        }
        Command::Operation { connection, command } => operation::run(&connection.client()?, command).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "drydock", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
