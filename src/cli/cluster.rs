//! `drydock cluster`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use drydock_runtime::wall;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::{Client, query, segment};
use super::clock;
use super::duration;
use super::kubeconfig;
use super::operation::{self, WaitArgs};
use super::output::{self, OutputArgs, pairs, text};
use super::settings::{self, SettingsArgs};

#[derive(Subcommand, Debug)]
pub(super) enum ClusterCommand {
    /// Create a cluster
    #[command(after_help = "Example: drydock cluster create web --version 1.36 --nodes 3 --wait")]
    Create(Box<CreateArgs>),
    /// List clusters
    #[command(visible_alias = "ls")]
    List {
        /// Only those in this state: creating, active, failed or deleting
        #[arg(long)]
        state: Option<String>,
        /// Only those of this provider
        #[arg(long)]
        provider: Option<String>,
        /// Only those in this region
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a cluster
    Get {
        /// Name or uid
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change labels and settings of a running cluster
    #[command(after_help = UPDATE_HELP)]
    Update(Box<UpdateArgs>),
    /// Print a cluster's audit log: one event a line, in JSON
    AuditLog {
        /// Name or uid
        name: String,
        /// Go on with what is written from then on
        #[arg(short, long)]
        follow: bool,
    },
    /// Delete a cluster with all it has: objects, nodes, machines
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or uid
        name: String,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Download the kubeconfig of an administrator; on standard output unless told otherwise
    Kubeconfig {
        /// Name or uid
        name: String,
        /// Merge it into $KUBECONFIG or ~/.kube/config and make it the current context
        #[arg(long, conflicts_with = "output")]
        merge: bool,
        /// Write it to this file, readable by you alone
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// What it proves you with: certificate or token
        #[arg(long, value_name = "KIND", default_value = "certificate")]
        credential: String,
    },
    /// Show a cluster's clock, step it by hand, or run it at another speed
    #[command(after_help = clock::HELP)]
    Clock(clock::ClockArgs),
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// Name: lower case letters, digits and '-'
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Kubernetes version: 1.33 to 1.36 [default: 1.36]
    #[arg(long)]
    version: Option<String>,
    /// Cloud provider of its nodes: mock or aws [default: the service's first]
    #[arg(long)]
    provider: Option<String>,
    /// Region of the provider [default: the provider's]
    #[arg(long)]
    region: Option<String>,
    /// Nodes of its first node pool `default`; 0 makes no node pool [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    nodes: Option<u32>,
    /// Instance type of those nodes [default: the provider's]
    #[arg(long, value_name = "TYPE", requires = "nodes")]
    instance_type: Option<String>,
    /// Network of pods [default: 10.244.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Option<String>,
    /// Network of Services [default: 10.96.0.0/12]
    #[arg(long, value_name = "CIDR")]
    service_cidr: Option<String>,
    /// Label of the cluster; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Read the whole request from this YAML or JSON file; - is standard input
    #[arg(
        short,
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "name", "version", "provider", "region", "nodes", "pod_cidr", "service_cidr", "labels",
            "authentication_config", "token_webhook", "authorization_config", "audit_policy",
            "scheduler_config",
        ]
    )]
    file: Option<PathBuf>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const UPDATE_HELP: &str = "\
Settings are in force from the next request on, those of the scheduler from its next decision; no restart is needed.

Examples:
  drydock cluster update web --audit-policy policy.yaml    write an audit log from now on
  drydock cluster update web --unset audit-policy          and no more
  drydock cluster update web --scheduler-config sched.yaml other profiles for pods that come or wait
  drydock cluster update web --label team=blue --label old-";

#[derive(Args, Debug)]
pub(super) struct UpdateArgs {
    /// Name or uid
    name: String,
    /// Label to set, or to remove: KEY-; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label_change)]
    labels: Vec<(String, Option<String>)>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Setting to go back to the default of: authentication-config, token-webhook, authorization-config, audit-policy or
    /// scheduler-config
    #[arg(long, value_name = "SETTING", value_parser = settings::NAMES.map(|(name, _)| name))]
    unset: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

fn label_change(text: &str) -> Result<(String, Option<String>), String> {
    match text.strip_suffix('-') {
        Some(key) if !text.contains('=') => Ok((key.to_owned(), None)),
        _ => key_value(text).map(|(key, value)| (key, Some(value))),
    }
}

async fn update(client: &Client, args: UpdateArgs) -> Result<(), CliError> {
    let mut body = args.settings.fields()?;
    for setting in &args.unset {
        let field = settings::NAMES.iter().find(|(name, _)| name == setting).map(|(_, field)| *field);
        body.insert(field.unwrap_or_default().to_owned(), Value::Null);
    }
    if !args.labels.is_empty() {
        let labels: Map<_, _> = args.labels.into_iter().map(|(key, value)| (key, value.into())).collect();
        body.insert("labels".to_owned(), labels.into());
    }
    if body.is_empty() {
        return Err(CliError::Usage("nothing to change; see drydock cluster update --help".to_owned()));
    }
    let cluster = client.patch(&path(&args.name), &Value::Object(body)).await?;
    output::show(args.output.output, &cluster, describe)
}

async fn audit_log(client: &Client, name: &str, follow: bool) -> Result<(), CliError> {
    let path = format!("{}/audit-log?follow={follow}", path(name));
    client.stream(&path, output::print_bytes).await
}

pub(super) async fn run(client: &Client, command: ClusterCommand) -> Result<(), CliError> {
    match command {
        ClusterCommand::Create(args) => create(client, *args).await,
        ClusterCommand::List { state, provider, region, output } => {
            let query = query(&[
                ("state", state.as_deref()),
                ("provider", provider.as_deref()),
                ("region", region.as_deref()),
            ]);
            let items = client.list(&format!("/v1/clusters{query}")).await?;
            let header =
                ["NAME", "STATE", "VERSION", "PROVIDER", "REGION", "NODES", "ENDPOINT", "AGE", "REASON"];
            output::show_list(output.output, items, &header, row)
        }
        ClusterCommand::Get { name, output } => {
            let cluster = client.get(&path(&name)).await?;
            output::show(output.output, &cluster, describe)
        }
        ClusterCommand::Delete { name, wait, output } => {
            let started = client.delete(&path(&name)).await?;
            if !wait.wait {
                return output::show(output.output, &started, |operation| announce(operation, "deleted"));
            }
            let done = operation::follow(client, &started, wait.timeout).await?;
            output::show(output.output, &done, |done| format!("{} is deleted\n", operation::target(done)))
        }
        ClusterCommand::Update(args) => update(client, *args).await,
        ClusterCommand::AuditLog { name, follow } => audit_log(client, &name, follow).await,
        ClusterCommand::Clock(args) => clock::run(client, args).await,
        ClusterCommand::Kubeconfig { name, merge, output, credential } => {
            let text = download(client, &name, &credential).await?;
            match output {
                Some(file) => kubeconfig::write(&file, &text),
                None if merge => kubeconfig::merge(&kubeconfig::default_file()?, &text),
                None => output::print(&text),
            }
        }
    }
}

async fn create(client: &Client, args: CreateArgs) -> Result<(), CliError> {
    let started = match &args.file {
        Some(file) => {
            let body = read(file)?;
            client.create("/v1/clusters", media(file, &body), body).await?
        }
        None => {
            let mut body = request(&args);
            if let Some(fields) = body.as_object_mut() {
                fields.extend(args.settings.fields()?);
            }
            let body = body.to_string();
            client.create("/v1/clusters", "application/json", body.into()).await?
        }
    };
    if !args.wait.wait {
        return output::show(args.output.output, &started, |operation| announce(operation, "created"));
    }
    operation::follow(client, &started, args.wait.timeout).await?;
    let cluster = client.get(&path(&text(&started, "/clusterUid"))).await?;
    output::show(args.output.output, &cluster, ready)
}

/// The line for people about a cluster that is there.
pub(super) fn ready(cluster: &Value) -> String {
    format!(
        "cluster {} is ready: Kubernetes {}, {}, {}\n",
        text(cluster, "/name"),
        text(cluster, "/version"),
        nodes_ready(cluster),
        text(cluster, "/endpoint")
    )
}

/// `3 nodes`, or `1 of 3 nodes`.
fn nodes_ready(cluster: &Value) -> String {
    let count = |name: &str| cluster["nodes"][name].as_u64().unwrap_or_default();
    let (ready, wanted) = (count("ready"), count("wanted"));
    if ready < wanted { format!("{ready} of {}", output::nodes(wanted)) } else { output::nodes(ready) }
}

pub(super) async fn download(client: &Client, name: &str, credential: &str) -> Result<String, CliError> {
    let path = format!("{}/kubeconfig?credential={}", path(name), segment(credential));
    let reply = client.send(Method::GET, &path, HeaderMap::new(), None).await?;
    Ok(String::from_utf8(reply.bytes.to_vec()).context("the kubeconfig is not text")?)
}

fn request(args: &CreateArgs) -> Value {
    let mut body = json!({ "name": args.name });
    for (key, value) in [("version", &args.version), ("provider", &args.provider), ("region", &args.region)] {
        if let Some(value) = value {
            body[key] = value.as_str().into();
        }
    }
    for (key, value) in [("podCidr", &args.pod_cidr), ("serviceCidr", &args.service_cidr)] {
        if let Some(value) = value {
            body["network"][key] = value.as_str().into();
        }
    }
    if !args.labels.is_empty() {
        let labels: Map<_, _> =
            args.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        body["labels"] = labels.into();
    }
    if let Some(nodes) = args.nodes.filter(|nodes| *nodes > 0) {
        let mut pool = json!({ "name": "default", "nodes": nodes });
        if let Some(instance_type) = &args.instance_type {
            pool["instanceType"] = instance_type.as_str().into();
        }
        body["nodePools"] = json!([pool]);
    }
    body
}

/// JSON is YAML, but what is wrong with it is better told in its own terms.
fn media(file: &Path, body: &[u8]) -> &'static str {
    let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
    let mut signs = body.iter().filter(|byte| !byte.is_ascii_whitespace());
    let begins = signs.next() == Some(&b'{') && signs.next().is_none_or(|sign| b"\"}".contains(sign));
    let json = extension == "json" || (begins && extension != "yaml" && extension != "yml");
    if json { "application/json" } else { "application/yaml" }
}

fn read(file: &Path) -> Result<Bytes, CliError> {
    let mut bytes = Vec::new();
    let outcome = if file.as_os_str() == "-" {
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    outcome.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(bytes.into())
}

pub(super) fn path(name: &str) -> String {
    format!("/v1/clusters/{}", segment(name))
}

/// The line for people about an operation that has begun.
pub(super) fn announce(operation: &Value, participle: &str) -> String {
    let id = text(operation, "/id");
    format!(
        "{} is being {participle}; `drydock operation wait {id}` waits for it\n",
        operation::target(operation)
    )
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn row(cluster: &Value) -> Vec<String> {
    vec![
        text(cluster, "/name"),
        text(cluster, "/state"),
        text(cluster, "/version"),
        text(cluster, "/provider"),
        text(cluster, "/region"),
        format!("{}/{}", text(cluster, "/nodes/ready"), text(cluster, "/nodes/wanted")),
        Some(text(cluster, "/endpoint")).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned()),
        duration::age(&text(cluster, "/createdAt"), wall::now()),
        text(cluster, "/reason/message"),
    ]
}

/// The settings that are not the default.
fn settings_of(cluster: &Value) -> String {
    let set = settings::NAMES.iter().filter(|(_, field)| cluster.get(field).is_some());
    set.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn describe(cluster: &Value) -> String {
    output::description(&[
        ("Name", text(cluster, "/name")),
        ("Uid", text(cluster, "/uid")),
        ("State", text(cluster, "/state")),
        ("Reason", text(cluster, "/reason/message")),
        ("Version", text(cluster, "/version")),
        ("Provider", text(cluster, "/provider")),
        ("Region", text(cluster, "/region")),
        ("Endpoint", text(cluster, "/endpoint")),
        ("Nodes", format!("{} of {} ready", text(cluster, "/nodes/ready"), text(cluster, "/nodes/wanted"))),
        ("Pod network", text(cluster, "/network/podCidr")),
        ("Service network", text(cluster, "/network/serviceCidr")),
        ("Labels", pairs(cluster, "/labels")),
        ("Settings", settings_of(cluster)),
        ("Created", text(cluster, "/createdAt")),
    ])
}
