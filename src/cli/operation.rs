//! `drydock operation`, and how other commands follow theirs.

use std::time::Duration;

use clap::{Args, Subcommand};
use drydock_runtime::{Stopwatch, wall};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;

use super::CliError;
use super::client::{Client, query, segment};
use super::duration;
use super::output::{self, Format, OutputArgs, text};
use super::progress::Progress;

#[derive(Subcommand, Debug)]
pub(super) enum OperationCommand {
    /// List operations, newest first
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this cluster
        #[arg(long)]
        cluster: Option<String>,
        /// Only those of this node pool
        #[arg(long)]
        node_pool: Option<String>,
        /// Only those in this state: pending, running, succeeded or failed
        #[arg(long)]
        state: Option<String>,
        /// Only those of this type: clusterCreate, clusterDelete, nodePoolCreate, nodePoolScale or nodePoolDelete
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show an operation
    Get {
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Wait until an operation has ended; the exit code says how
    Wait {
        id: String,
        #[command(flatten)]
        timeout: TimeoutArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct TimeoutArgs {
    /// How long to wait at most; the operation goes on
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse, allow_negative_numbers = true)]
    timeout: Duration,
}

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct WaitArgs {
    /// Wait until it is done, and show progress
    #[arg(short, long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) timeout: TimeoutArgs,
}

impl TimeoutArgs {
    pub(super) fn of(timeout: Duration) -> Self {
        Self { timeout }
    }
}

pub(super) async fn run(client: &Client, command: OperationCommand) -> Result<(), CliError> {
    match command {
        OperationCommand::List { cluster, node_pool, state, kind, output } => {
            let query = query(&[
                ("cluster", cluster.as_deref()),
                ("nodePool", node_pool.as_deref()),
                ("state", state.as_deref()),
                ("type", kind.as_deref()),
            ]);
            let items = client.list(&format!("/v1/operations{query}")).await?;
            let header = ["ID", "TYPE", "TARGET", "STATE", "PROGRESS", "AGE", "MESSAGE"];
            output::show_list(output.output, items, &header, row)
        }
        OperationCommand::Get { id, output } => {
            let operation = client.get(&format!("/v1/operations/{}", segment(&id))).await?;
            output::show(output.output, &operation, describe)
        }
        OperationCommand::Wait { id, timeout, output } => {
            let operation = client.get(&format!("/v1/operations/{}", segment(&id))).await?;
            let done = follow(client, &operation, timeout).await;
            if output.output != Format::Table {
                let operation = client.get(&format!("/v1/operations/{}", segment(&id))).await?;
                output::show(output.output, &operation, describe)?;
            } else if done.is_ok() {
                output::print(&format!("{} is done\n", target(&operation)))?;
            }
            done.map(drop)
        }
    }
}

/// Shows progress until the operation has ended, and answers it.
pub(super) async fn follow(
    client: &Client,
    operation: &Value,
    timeout: TimeoutArgs,
) -> Result<Value, CliError> {
    let id = text(operation, "/id");
    let label = target(operation);
    let watch = Stopwatch::start();
    let mut progress = Progress::start(&label);
    let mut last = operation.clone();
    let mut tag = None;
    loop {
        progress.say(&text(&last, "/progress/message"));
        match last["state"].as_str() {
            Some("succeeded") => return Ok(last),
            Some("failed") => {
                let message = text(&last, "/error/message");
                return Err(CliError::OperationFailed { target: label, message });
            }
            _ => {}
        }
        let left = timeout.timeout.saturating_sub(watch.elapsed());
        if left.is_zero() {
            let last = progress.last().to_owned();
            return Err(CliError::TimedOut { target: label, last, id });
        }
        if let Some((changed, new_tag)) = next(client, &id, tag.as_deref(), left, &mut progress).await? {
            last = changed;
            tag = new_tag;
        }
    }
}

/// How long a service may be away, restarting, before waiting for it is given up.
const ABSENCE: Duration = Duration::from_secs(20);

/// The operation when it has changed, and its tag. None when it has not.
async fn next(
    client: &Client,
    id: &str,
    tag: Option<&str>,
    left: Duration,
    progress: &mut Progress,
) -> Result<Option<(Value, Option<String>)>, CliError> {
    let mut headers = HeaderMap::new();
    if let Some(Ok(tag)) = tag.map(str::parse) {
        headers.insert(header::IF_NONE_MATCH, tag);
    }
    // Without a tag there is nothing to compare with: ask at once.
    let wait = if tag.is_some() { left.as_secs().clamp(1, 20) } else { 0 };
    let path = format!("/v1/operations/{}?wait={wait}", segment(id));
    let away = Stopwatch::start();
    loop {
        match client.send(Method::GET, &path, headers.clone(), None).await {
            Ok(reply) if reply.status == StatusCode::NOT_MODIFIED => return Ok(None),
            Ok(reply) => {
                let tag =
                    reply.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                return Ok(Some((reply.json()?, tag)));
            }
            Err(CliError::Unreachable { .. }) if away.elapsed() < ABSENCE.min(left) => {
                progress.say("the service does not answer; trying again");
                wall::sleep(Duration::from_millis(300)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// `cluster dev`, `node pool dev/default`.
pub(super) fn target(operation: &Value) -> String {
    let cluster = text(operation, "/cluster");
    match operation["nodePool"].as_str() {
        Some(pool) => format!("node pool {cluster}/{pool}"),
        None => format!("cluster {cluster}"),
    }
}

fn row(operation: &Value) -> Vec<String> {
    let path = text(operation, "/target");
    let error = text(operation, "/error/message");
    vec![
        text(operation, "/id"),
        text(operation, "/type"),
        path.trim_start_matches("/v1/").to_owned(),
        text(operation, "/state"),
        format!("{}%", text(operation, "/progress/percent")),
        duration::age(&text(operation, "/createdAt"), wall::now()),
        if error.is_empty() { text(operation, "/progress/message") } else { error },
    ]
}

fn describe(operation: &Value) -> String {
    output::description(&[
        ("Id", text(operation, "/id")),
        ("Type", text(operation, "/type")),
        ("Target", text(operation, "/target")),
        ("State", text(operation, "/state")),
        (
            "Progress",
            format!("{} of {} steps", text(operation, "/progress/done"), text(operation, "/progress/total")),
        ),
        ("Message", text(operation, "/progress/message")),
        ("Error", text(operation, "/error/message")),
        ("Created", text(operation, "/createdAt")),
        ("Finished", text(operation, "/finishedAt")),
    ])
}
