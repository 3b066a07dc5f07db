//! Measures any Kubernetes API server, and Drydock as a fleet.
//!
//! `api` runs against any kubeconfig, upstream's as well as Drydock's, so that figures stand side by side: the same
//! program, the same machine, the same run. `clusters` starts a service and measures what clusters cost.

mod api;
mod clusters;
mod connection;
mod kubeconfig;
mod report;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measure, and record figures in docs/benchmarks.md")]
struct Args {
    /// Append the figures to docs/benchmarks.md with date, commit and command
    #[arg(long, global = true)]
    record: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Requests per second and watch fan-out against any cluster
    Api {
        /// The cluster to measure; a fresh Drydock cluster when absent
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
        /// Whose process to read the memory of, when it is on this machine
        #[arg(long)]
        pid: Option<u32>,
        /// Concurrent connections
        #[arg(long, default_value_t = 16)]
        clients: usize,
        /// Measure only requests whose name contains this, such as "create Pod"
        #[arg(long, default_value = "")]
        only: String,
        /// How long each figure is measured
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        #[command(flatten)]
        binary: Binary,
    },
    /// Time to create a cluster, and memory per idle cluster
    Clusters {
        #[arg(long, default_value_t = 1000)]
        count: usize,
        /// Simulated nodes in each
        #[arg(long, default_value_t = 0)]
        nodes: u32,
        #[command(flatten)]
        binary: Binary,
    },
}

#[derive(clap::Args)]
struct Binary {
    /// The drydock binary
    #[arg(long, default_value = "target/release/drydock", env = "DRYDOCK_BENCH_BINARY")]
    binary: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let figures = runtime.block_on(async {
        match args.command {
            Command::Api { kubeconfig: Some(file), pid, only, clients, seconds, .. } => {
                api::measure(&file, pid, only, clients, seconds).await
            }
            Command::Api { kubeconfig: None, only, clients, seconds, binary, .. } => {
                let service = clusters::Service::start(&binary.binary).await?;
                let file = service.cluster("bench", 0).await?;
                api::measure(&file, Some(service.pid()), only, clients, seconds).await
            }
            Command::Clusters { count, nodes, binary } => {
                clusters::measure(&binary.binary, count, nodes).await
            }
        }
    })?;
    report::print(&figures);
    if args.record {
        report::record(&figures)?;
    }
    Ok(())
}
