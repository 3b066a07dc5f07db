//! `drydock explain-scheduling`.

use clap::Args;
use serde_json::Value;

use super::CliError;
use super::client::{Client, query};
use super::cluster::path;
use super::output::{self, OutputArgs, text};

pub(super) const HELP: &str = "\
For each node: the first filter that has something against it, and what; or the scores of the plugins, each as its weight
times 0 to 100, and their total. A pod that has a node is judged as if it was not there.

Examples:
  drydock explain-scheduling web-7d9 -c dev               why the pod is where it is, or nowhere
  drydock explain-scheduling db-0 -c dev -n data -o json  the same for programs";

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Name of the pod
    pod: String,
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: String,
    /// Namespace of the pod
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(client: &Client, args: ExplainArgs) -> Result<(), CliError> {
    let query = query(&[("namespace", Some(&args.namespace)), ("pod", Some(&args.pod))]);
    let explained = client.get(&format!("{}/scheduling{query}", path(&args.cluster))).await?;
    output::show(args.output.output, &explained, describe)
}

fn describe(explained: &Value) -> String {
    let said = |field: &str| {
        let objection = &explained[field];
        match objection.is_null() {
            true => String::new(),
            false => format!("{}: {}", text(objection, "/plugin"), text(objection, "/reason")),
        }
    };
    let names = explained["best"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut out = output::description(&[
        ("Pod", format!("{}/{}", text(explained, "/namespace"), text(explained, "/pod"))),
        ("Profile", text(explained, "/profile")),
        ("Node", text(explained, "/node")),
        ("Held", said("held")),
        ("Refused", said("refused")),
        ("Best", names.collect::<Vec<_>>().join(", ")),
        ("Message", text(explained, "/message")),
    ]);
    let mut nodes: Vec<&Value> = explained["nodes"].as_array().into_iter().flatten().collect();
    // The best first; among equals, and nodes that will not do, by name as they came.
    nodes.sort_by_key(|node| std::cmp::Reverse(node["total"].as_i64()));
    if !nodes.is_empty() {
        out.push('\n');
        out.push_str(&output::table(&["NODE", "FITS", "TOTAL", "WHY"], nodes.into_iter().map(row).collect()));
    }
    out
}

fn row(node: &Value) -> Vec<String> {
    let list = |field: &str| node[field].as_array().into_iter().flatten();
    let (fits, why) = if node["feasible"] == true {
        let scores = list("scores").map(|score| {
            format!("{} {}*{}", text(score, "/plugin"), text(score, "/weight"), text(score, "/normalized"))
        });
        ("yes", scores.collect::<Vec<_>>().join(", "))
    } else {
        let failed = list("filters").find(|filter| filter["passed"] == false);
        let reasons = failed.into_iter().flat_map(|filter| filter["reasons"].as_array()).flatten();
        let reasons: Vec<_> = reasons.filter_map(Value::as_str).collect();
        let plugin = failed.map(|filter| text(filter, "/plugin")).unwrap_or_default();
        ("no", format!("{plugin}: {}", reasons.join(", ")))
    };
    let total = node["total"].as_i64().map_or_else(|| "-".to_owned(), |total| total.to_string());
    vec![text(node, "/name"), fits.to_owned(), total, why]
}
