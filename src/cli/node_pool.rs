//! `drydock node-pool`.

use clap::{Args, Subcommand};
use drydock_runtime::wall;
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::{Client, query, segment};
use super::cluster::{announce, key_value};
use super::duration;
use super::operation::{self, WaitArgs};
use super::output::{self, OutputArgs, pairs, text};

#[derive(Subcommand, Debug)]
pub(super) enum NodePoolCommand {
    /// Create a node pool
    Create(Box<CreateArgs>),
    /// List the node pools of a cluster
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        cluster: ClusterArg,
        /// Only those in this state
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a node pool
    Get {
        name: String,
        #[command(flatten)]
        cluster: ClusterArg,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change the number of nodes: new machines join, machines that go are drained first
    Scale {
        name: String,
        #[command(flatten)]
        cluster: ClusterArg,
        /// How many nodes the pool is to have
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        nodes: u32,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete a node pool: its nodes are drained and its machines terminated
    #[command(visible_alias = "rm")]
    Delete {
        name: String,
        #[command(flatten)]
        cluster: ClusterArg,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Args, Debug)]
pub(super) struct ClusterArg {
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: String,
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// Name of the node pool, unique in its cluster
    name: String,
    #[command(flatten)]
    cluster: ClusterArg,
    /// How many nodes [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    nodes: Option<u32>,
    /// Instance type, one of the provider's [default: the provider's]
    #[arg(long, value_name = "TYPE")]
    instance_type: Option<String>,
    /// Only in these zones [default: all of the region]
    #[arg(long, value_name = "ZONE", value_delimiter = ',')]
    zones: Vec<String>,
    /// Label of the nodes; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    labels: Vec<(String, String)>,
    /// Taint of the nodes; may be repeated
    #[arg(long = "taint", value_name = "KEY[=VALUE]:EFFECT", value_parser = taint)]
    taints: Vec<Value>,
    /// Spot capacity: cheaper, and may be taken away
    #[arg(long)]
    spot: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(client: &Client, command: NodePoolCommand) -> Result<(), CliError> {
    match command {
        NodePoolCommand::Create(args) => create(client, *args).await,
        NodePoolCommand::List { cluster, state, output } => {
            let query = query(&[("state", state.as_deref())]);
            let items = client.list(&format!("{}{query}", cluster.pools())).await?;
            let header = ["NAME", "STATE", "READY", "NODES", "INSTANCE TYPE", "VERSION", "AGE", "REASON"];
            output::show_list(output.output, items, &header, row)
        }
        NodePoolCommand::Get { name, cluster, output } => {
            let pool = client.get(&cluster.pool(&name)).await?;
            output::show(output.output, &pool, describe)
        }
        NodePoolCommand::Scale { name, cluster, nodes, wait, output } => {
            let started = client.patch(&cluster.pool(&name), &json!({ "nodes": nodes })).await?;
            finish(client, &started, "scaled", wait, output, Some(&cluster.pool(&name))).await
        }
        NodePoolCommand::Delete { name, cluster, wait, output } => {
            let started = client.delete(&cluster.pool(&name)).await?;
            finish(client, &started, "deleted", wait, output, None).await
        }
    }
}

async fn create(client: &Client, args: CreateArgs) -> Result<(), CliError> {
    let mut body = json!({ "name": args.name });
    if let Some(nodes) = args.nodes {
        body["nodes"] = nodes.into();
    }
    if let Some(instance_type) = args.instance_type {
        body["instanceType"] = instance_type.into();
    }
    if !args.zones.is_empty() {
        body["zones"] = args.zones.into();
    }
    if !args.labels.is_empty() {
        body["labels"] =
            args.labels.into_iter().map(|(key, value)| (key, value.into())).collect::<Map<_, _>>().into();
    }
    if !args.taints.is_empty() {
        body["taints"] = args.taints.into();
    }
    if args.spot {
        body["spot"] = true.into();
    }
    let pool = args.cluster.pool(&args.name);
    let started = client.create(&args.cluster.pools(), "application/json", body.to_string().into()).await?;
    finish(client, &started, "created", args.wait, args.output, Some(&pool)).await
}

/// Without `--wait` shows the operation, with it waits and shows what became of the pool.
async fn finish(
    client: &Client,
    started: &Value,
    participle: &str,
    wait: WaitArgs,
    output: OutputArgs,
    shown: Option<&str>,
) -> Result<(), CliError> {
    if !wait.wait {
        return output::show(output.output, started, |operation| announce(operation, participle));
    }
    let done = operation::follow(client, started, wait.timeout).await?;
    let result = match shown {
        Some(path) => client.get(path).await?,
        None => done,
    };
    let target = operation::target(started);
    output::show(output.output, &result, |pool| match pool["nodes"].as_u64() {
        Some(nodes) => format!("{target} is {participle}: {}\n", output::nodes(nodes)),
        None => format!("{target} is {participle}\n"),
    })
}

impl ClusterArg {
    fn pools(&self) -> String {
        format!("/v1/clusters/{}/node-pools", segment(&self.cluster))
    }

    fn pool(&self, name: &str) -> String {
        format!("{}/{}", self.pools(), segment(name))
    }
}

fn taint(text: &str) -> Result<Value, String> {
    let (rest, effect) = text.rsplit_once(':').ok_or("must be KEY[=VALUE]:EFFECT")?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    Ok(json!({ "key": key, "value": value, "effect": effect }))
}

fn row(pool: &Value) -> Vec<String> {
    vec![
        text(pool, "/name"),
        text(pool, "/state"),
        text(pool, "/observed/ready"),
        text(pool, "/nodes"),
        text(pool, "/instanceType"),
        text(pool, "/version"),
        duration::age(&text(pool, "/createdAt"), wall::now()),
        text(pool, "/reason/message"),
    ]
}

fn describe(pool: &Value) -> String {
    let list = |pointer: &str| {
        let items = pool.pointer(pointer).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let taints =
        pool["taints"].as_array().into_iter().flatten().map(|taint| {
            format!("{}={}:{}", text(taint, "/key"), text(taint, "/value"), text(taint, "/effect"))
        });
    output::description(&[
        ("Name", text(pool, "/name")),
        ("Cluster", text(pool, "/cluster")),
        ("State", text(pool, "/state")),
        ("Reason", text(pool, "/reason/message")),
        ("Nodes", format!("{} of {} ready", text(pool, "/observed/ready"), text(pool, "/nodes"))),
        ("Machines", text(pool, "/observed/machines")),
        ("Instance type", text(pool, "/instanceType")),
        ("Version", text(pool, "/version")),
        ("Kubelet", text(pool, "/kubelet")),
        ("Zones", list("/zones")),
        ("Labels", pairs(pool, "/labels")),
        ("Taints", taints.collect::<Vec<_>>().join(", ")),
        ("Spot", if pool["spot"] == true { "yes".to_owned() } else { String::new() }),
        ("Created", text(pool, "/createdAt")),
    ])
}
