//! `drydock up`: the service, a first cluster, its kubeconfig, and what to type next.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drydock_runtime::{Stopwatch, wall};
use serde_json::{Value, json};

use super::CliError;
use super::client::{Client, DEFAULT_SERVER, segment};
use super::cluster;
use super::kubeconfig;
use super::operation::{self, TimeoutArgs};
use super::output;
use super::progress::Progress;
use super::serve::{ServeArgs, Signals, start_server, stop_server};

#[derive(Args, Debug)]
pub(super) struct UpArgs {
    /// Name of the first cluster
    #[arg(long, value_name = "NAME", default_value = "dev")]
    cluster: String,
    /// Its nodes, if it has to be made
    #[arg(long, value_name = "N", default_value_t = 3, allow_negative_numbers = true)]
    nodes: u32,
    #[command(flatten)]
    serve: ServeArgs,
}

/// How long the first cluster may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long its nodes may take to be back when it was there before.
const NODES_PATIENCE: Duration = Duration::from_secs(60);

/// The cluster that `up` makes or finds.
struct First {
    name: String,
    /// If it has to be made.
    nodes: u32,
    kubeconfig: PathBuf,
    /// Its clock runs, so that its nodes come by themselves.
    nodes_come: bool,
}

pub(super) async fn run(args: UpArgs) -> Result<(), CliError> {
    let config = args.serve.config("warn")?;
    let mut stop = Signals::listen()?;
    let server = start_server(&config).await?;
    let client = Client::new(&server.url(), config.api_token.clone())?;
    // The next commands are typed in another terminal, in whatever folder.
    let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let first = First {
        kubeconfig: folder.join(format!("{}.kubeconfig", args.cluster)),
        name: args.cluster,
        nodes: args.nodes,
        nodes_come: config.speed > 0.0,
    };
    let prepared = tokio::select! {
        prepared = first.prepare(&client) => prepared,
        () = stop.wait() => Err(CliError::Interrupted),
    };
    if prepared.is_ok() {
        output::print(&next_commands(&first, &server.url()))?;
        stop.wait().await;
        eprintln!("stopping; `drydock up` finds everything as it is now");
    }
    stop_server(server, stop).await;
    prepared
}

impl First {
    /// Finds the cluster or makes it, waits for it, and writes its kubeconfig.
    async fn prepare(&self, client: &Client) -> Result<(), CliError> {
        let watch = Stopwatch::start();
        match client.get(&self.path()).await {
            Ok(_) => {}
            Err(CliError::Problem(problem)) if problem.status == 404 => {
                let pools = if self.nodes == 0 {
                    json!([])
                } else {
                    json!([{ "name": "default", "nodes": self.nodes }])
                };
                let body = json!({ "name": self.name, "nodePools": pools });
                client.create("/v1/clusters", "application/json", body.to_string().into()).await?;
            }
            Err(error) => return Err(error),
        }
        if self.nodes_come {
            self.created(client).await?;
        }
        let kubeconfig = self.serves(client).await?;
        let cluster = self.nodes_are_ready(client).await?;
        let line = cluster::ready(&cluster);
        output::print(&format!("{} ({:.1} s)\n", line.trim_end(), watch.elapsed().as_secs_f64()))?;
        kubeconfig::write(&self.kubeconfig, &kubeconfig)
    }

    fn path(&self) -> String {
        format!("/v1/clusters/{}", segment(&self.name))
    }

    /// Waits until its creation is done. One that was interrupted goes on after a start.
    async fn created(&self, client: &Client) -> Result<(), CliError> {
        let name = segment(&self.name);
        for state in ["pending", "running"] {
            let open = format!("/v1/operations?type=clusterCreate&cluster={name}&state={state}");
            for started in client.list(&open).await? {
                operation::follow(client, &started, TimeoutArgs::of(PATIENCE)).await?;
            }
        }
        Ok(())
    }

    /// Waits until the cluster serves, and answers its kubeconfig.
    async fn serves(&self, client: &Client) -> Result<String, CliError> {
        let watch = Stopwatch::start();
        let mut progress = Progress::start(&format!("cluster {}", self.name));
        loop {
            match cluster::download(client, &self.name, "certificate").await {
                Err(CliError::Problem(problem))
                    if problem.code == "notReady" && watch.elapsed() < PATIENCE =>
                {
                    progress.say(&problem.detail);
                }
                done => return done,
            }
            wall::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until all nodes that are wanted are ready, and answers the cluster as it is then. A node that does not come
    /// does not keep the others from being used.
    async fn nodes_are_ready(&self, client: &Client) -> Result<Value, CliError> {
        let watch = Stopwatch::start();
        let mut progress = Progress::start(&format!("cluster {}", self.name));
        loop {
            let cluster = client.get(&self.path()).await?;
            let (ready, wanted) = (&cluster["nodes"]["ready"], &cluster["nodes"]["wanted"]);
            let all = cluster["state"] == "active" && ready.as_u64() >= wanted.as_u64();
            if all || !self.nodes_come || watch.elapsed() > NODES_PATIENCE {
                return Ok(cluster);
            }
            progress.say(&format!("{ready} of {wanted} nodes are ready"));
            wall::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn next_commands(first: &First, url: &str) -> String {
    let cluster = &first.name;
    let clock = if first.nodes_come {
        String::new()
    } else {
        format!(
            "\n  drydock cluster clock {cluster} --advance 1m       time stands still: this is how nodes come"
        )
    };
    let server =
        if url == DEFAULT_SERVER { String::new() } else { format!("\n  export DRYDOCK_SERVER={url}") };
    format!(
        "
Next, in another terminal:
  export KUBECONFIG={}{server}{clock}
  kubectl get nodes
  kubectl create deployment web --image=nginx --replicas=3
  kubectl get pods --watch
  drydock cluster list
  drydock node-pool scale default --cluster {cluster} --nodes 5 --wait

Ctrl-C stops the service; the next `drydock up` finds everything as it was.
",
        shell_word(&first.kubeconfig.display().to_string())
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
