//! `drydock up`: the service, a first cluster, its kubeconfig, and what to type next.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use drydock_runtime::{Stopwatch, wall};
use serde_json::{Value, json};

use crate::compose;
use crate::server::Server;

use super::CliError;
use super::client::Client;
use super::cluster;
use super::kubeconfig;
use super::operation::{self, TimeoutArgs};
use super::output;
use super::progress::Progress;
use super::serve::{ServeArgs, Signals, stop_server};

#[derive(Args, Debug)]
pub(super) struct UpArgs {
    /// Name of the first cluster
    #[arg(long, value_name = "NAME", default_value = "dev")]
    cluster: String,
    /// Its nodes, if it has to be made
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u32,
    #[command(flatten)]
    serve: ServeArgs,
}

/// How long the first cluster may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) async fn run(args: UpArgs) -> Result<(), CliError> {
    let config = args.serve.config("warn")?;
    let mut stop = Signals::listen()?;
    let server = Server::start(&config, compose::backends).await?;
    output::print(&format!(
        "drydock {} serves {} (data in {})\n",
        env!("CARGO_PKG_VERSION"),
        server.url(),
        config.data_dir.display()
    ))?;
    let client = Client::new(&server.url(), config.api_token.clone())?;
    let file = config.data_dir.join(format!("{}.kubeconfig", args.cluster));
    let prepared = tokio::select! {
        prepared = prepare(&client, &args.cluster, args.nodes, &file) => prepared,
        () = stop.wait() => Err(CliError::Interrupted),
    };
    if prepared.is_ok() {
        output::print(&next_commands(&args.cluster, &file))?;
        stop.wait().await;
        eprintln!("stopping; `drydock up` finds everything as it is now");
    }
    stop_server(server, stop).await;
    prepared
}

/// Finds the cluster or makes it, waits for it, and writes its kubeconfig.
async fn prepare(client: &Client, name: &str, nodes: u32, file: &Path) -> Result<(), CliError> {
    let watch = Stopwatch::start();
    let timeout = TimeoutArgs::of(PATIENCE);
    match client.get(&format!("/v1/clusters/{name}")).await {
        Ok(_) => {}
        Err(CliError::Problem(problem)) if problem.status == 404 => {
            let body = json!({ "name": name, "nodePools": [{ "name": "default", "nodes": nodes }] });
            let started = client.create("/v1/clusters", "application/json", body.to_string().into()).await?;
            operation::follow(client, &started, timeout).await?;
        }
        Err(error) => return Err(error),
    }
    let (cluster, kubeconfig) = settle(client, name, timeout).await?;
    let line = cluster::ready(&cluster);
    output::print(&format!("{} ({:.1} s)\n", line.trim_end(), watch.elapsed().as_secs_f64()))?;
    kubeconfig::write(file, &kubeconfig)
}

/// Waits until the cluster serves, and if its creation was interrupted, until that is done: it goes on after a start.
async fn settle(client: &Client, name: &str, timeout: TimeoutArgs) -> Result<(Value, String), CliError> {
    for state in ["pending", "running"] {
        for started in
            client.list(&format!("/v1/operations?type=clusterCreate&cluster={name}&state={state}")).await?
        {
            operation::follow(client, &started, timeout).await?;
        }
    }
    let watch = Stopwatch::start();
    let mut progress = Progress::start(&format!("cluster {name}"));
    loop {
        match cluster::download(client, name, "certificate").await {
            Ok(kubeconfig) => return Ok((client.get(&format!("/v1/clusters/{name}")).await?, kubeconfig)),
            Err(CliError::Problem(problem)) if problem.status == 409 && watch.elapsed() < PATIENCE => {
                progress.say(&problem.detail);
            }
            Err(error) => return Err(error),
        }
        wall::sleep(Duration::from_millis(50)).await;
    }
}

fn next_commands(cluster: &str, file: &Path) -> String {
    format!(
        "
Next, in another terminal:
  export KUBECONFIG={}
  kubectl get nodes
  kubectl create deployment web --image=nginx --replicas=3
  kubectl get pods --watch
  drydock cluster list
  drydock node-pool scale default --cluster {cluster} --nodes 5 --wait

Ctrl-C stops the service; the next `drydock up` finds everything as it was.
",
        shell_word(&file.display().to_string())
    )
}

/// As a shell reads it back.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_are_quoted() {
        assert_eq!(shell_word("/tmp/a-b.kubeconfig"), "/tmp/a-b.kubeconfig");
        assert_eq!(shell_word("/My Data/it's"), r"'/My Data/it'\''s'");
    }
}
