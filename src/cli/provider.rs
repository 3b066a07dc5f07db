//! `drydock provider`.

use clap::Subcommand;

use super::CliError;
use super::client::Client;
use super::output::{self, OutputArgs, text};

#[derive(Subcommand, Debug)]
pub(super) enum ProviderCommand {
    /// List the providers that this service has
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(client: &Client, command: ProviderCommand) -> Result<(), CliError> {
    let ProviderCommand::List { output } = command;
    let items = client.list("/v1/providers").await?;
    let header = ["NAME", "DEFAULT", "DEFAULT REGION", "DEFAULT TYPE", "ENDPOINT", "DESCRIPTION"];
    output::show_list(output.output, items, &header, |provider| {
        vec![
            text(provider, "/name"),
            if provider["default"] == true { "yes".to_owned() } else { "no".to_owned() },
            text(provider, "/defaultRegion"),
            text(provider, "/defaultInstanceType"),
            Some(text(provider, "/endpoint"))
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "-".to_owned()),
            text(provider, "/description"),
        ]
    })
}
