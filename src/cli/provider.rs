//! `drydock provider`.

use clap::Subcommand;
use serde_json::Value;

use super::CliError;
use super::client::{Client, segment};
use super::output::{self, OutputArgs, text};

#[derive(Subcommand, Debug)]
pub(super) enum ProviderCommand {
    /// List the providers that this service has
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a provider with its regions
    Get {
        /// Name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(client: &Client, command: ProviderCommand) -> Result<(), CliError> {
    match command {
        ProviderCommand::List { output } => {
            let items = client.list("/v1/providers").await?;
            let header = ["NAME", "DEFAULT", "DEFAULT REGION", "DEFAULT TYPE", "ENDPOINT", "DESCRIPTION"];
            output::show_list(output.output, items, &header, row)
        }
        ProviderCommand::Get { name, output } => {
            let provider = client.get(&format!("/v1/providers/{}", segment(&name))).await?;
            output::show(output.output, &provider, describe)
        }
    }
}

fn row(provider: &Value) -> Vec<String> {
    let endpoint = text(provider, "/endpoint");
    vec![
        text(provider, "/name"),
        is_default(provider).to_owned(),
        text(provider, "/defaultRegion"),
        text(provider, "/defaultInstanceType"),
        if endpoint.is_empty() { "-".to_owned() } else { endpoint },
        text(provider, "/description"),
    ]
}

fn describe(provider: &Value) -> String {
    let regions = provider["regions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    output::description(&[
        ("Name", text(provider, "/name")),
        ("Description", text(provider, "/description")),
        ("Default", is_default(provider).to_owned()),
        ("Endpoint", text(provider, "/endpoint")),
        ("Default region", text(provider, "/defaultRegion")),
        ("Default instance type", text(provider, "/defaultInstanceType")),
        ("Regions", regions.collect::<Vec<_>>().join(", ")),
    ])
}

fn is_default(provider: &Value) -> &'static str {
    if provider["default"] == true { "yes" } else { "no" }
}
