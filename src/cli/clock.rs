//! `drydock cluster clock`.

use std::time::Duration;

use clap::Args;
use drydock_runtime::wall;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::CliError;
use super::client::Client;
use super::cluster::path;
use super::duration;
use super::output::{self, OutputArgs, text};
use super::progress::Progress;

pub(super) const HELP: &str = "\
Time is stepped through, not skipped: whatever is due on the way happens, heartbeats and cron jobs included.

Examples:
  drydock cluster clock web                  what time it is there
  drydock cluster clock web --advance 5m     five minutes later, in a second or so
  drydock cluster clock web --speed 0        stop it; --speed 1 lets it run again";

#[derive(Args, Debug)]
pub(super) struct ClockArgs {
    /// Name or uid
    name: String,
    /// Step the clock forward by so much, and wait until it is there
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true)]
    advance: Option<Duration>,
    /// From now on run this cluster's clock N times as fast as real time; 0 stops it
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    speed: Option<f64>,
    #[command(flatten)]
    output: OutputArgs,
}

const EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(client: &Client, args: ClockArgs) -> Result<(), CliError> {
    let path = format!("{}/clock", path(&args.name));
    let mut body = json!({});
    if let Some(by) = args.advance {
        body["advance"] = format!("{}ms", by.as_millis()).into();
    }
    if let Some(speed) = args.speed {
        body["speed"] = json!(speed);
    }
    let clock = if body == json!({}) {
        client.get(&path).await?
    } else {
        change(client, &path, &args.name, &body).await?
    };
    output::show(args.output.output, &clock, describe)
}

/// Changes the clock and waits until it is where it is being stepped to.
async fn change(client: &Client, path: &str, name: &str, body: &Value) -> Result<Value, CliError> {
    let mut progress = Progress::start(&format!("clock of cluster {name}"));
    let changing = client.post(path, body);
    tokio::pin!(changing);
    loop {
        if let Some(answer) = wall::timeout(EVERY, &mut changing).await {
            let mut clock = answer?;
            while tell(&mut progress, &clock) {
                wall::sleep(EVERY).await;
                clock = client.get(path).await?;
            }
            return Ok(clock);
        }
        tell(&mut progress, &client.get(path).await?);
    }
}

/// Whether the clock is still being stepped, and how far it is.
fn tell(progress: &mut Progress, clock: &Value) -> bool {
    let target = text(clock, "/target");
    if !target.is_empty() {
        progress.say(&format!("{}, on the way to {target}", text(clock, "/now")));
    }
    !target.is_empty()
}

fn describe(clock: &Value) -> String {
    let speed = clock["speed"].as_f64().unwrap_or_default();
    let pace = if speed == 0.0 { "stands still".to_owned() } else { format!("{speed} times real time") };
    let now = text(clock, "/now");
    let ahead = now.parse().ok().and_then(|now: Timestamp| {
        let ahead = now.duration_since(wall::now());
        (ahead.as_secs().abs() > 0).then(|| format!("{:#}", jiff::SignedDuration::from_secs(ahead.as_secs())))
    });
    output::description(&[
        ("Now", now),
        ("Speed", pace),
        ("Ahead", ahead.unwrap_or_default()),
        ("Stepped to", text(clock, "/target")),
    ])
}
