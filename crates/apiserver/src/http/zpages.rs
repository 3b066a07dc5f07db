//! `/statusz` and `/flagz`: how the server is, for people who look into it. Upstream has them since 1.36.
//!
//! Plain text, unless a structured kind is asked for by name. Of flags there are those of upstream: what
//! this server is set to, and otherwise what they are when nobody sets them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use drydock_auth::tokens::TokenConfig;
use drydock_machinery::{Map, Status, Value, value};
use drydock_runtime::clock::rfc3339;
use drydock_runtime::wall;
use http::header::ACCEPT;

use super::handler::Req;
use super::negotiate::{self, Page};
use super::{Answer, body, encode, raw};

const COMPONENT: &str = "apiserver";
const NOT_FOR_MACHINES: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting \
                                compatibility guarantees and is for debugging purposes only.\n";

/// Paths that are not for looking into the server.
const OTHERS: [&str; 5] = ["/apis", "/api", "/openid", "/openapi", "/.well-known"];

/// Whether a cluster of this minor version has these pages.
pub(crate) fn are_served(minor: u32) -> bool {
    minor >= 36
}

/// # Errors
/// 406 for a form that the page does not have.
pub(crate) async fn statusz(request: &Req) -> Result<Answer, Status> {
    let core = &request.core;
    let uptime = wall::now().as_second().saturating_sub(core.started.as_second()).max(0);
    let binary = core.version.git.trim_start_matches('v');
    let emulation = format!("1.{}", core.version.minor);
    let paths = debugging(&raw::listed(request));
    match negotiate::page(request.header(ACCEPT), "Statusz")? {
        Page::Text => {
            let started = core.started.strftime("%a %b %e %H:%M:%S UTC %Y");
            let mut text = format!("\n{COMPONENT} statusz\n{NOT_FOR_MACHINES}\nStarted: {started}\n");
            let (hours, minutes, seconds) = (uptime / 3600, uptime / 60 % 60, uptime % 60);
            let _ = writeln!(text, "Up: {hours} hr {minutes:02} min {seconds:02} sec");
            let _ = writeln!(text, "Go version: {}\nBinary version: {binary}", raw::GO_VERSION);
            let _ = writeln!(text, "Emulation version: {emulation}\nPaths: {}", paths.join(" "));
            Ok(body::whole(200, body::TEXT, text))
        }
        structured => {
            let fields = value!({
                "startTime": rfc3339(core.started), "uptimeSeconds": uptime, "goVersion": raw::GO_VERSION,
                "binaryVersion": binary, "emulationVersion": emulation, "paths": paths,
            });
            Ok(object(request, "Statusz", structured, fields).await)
        }
    }
}

/// # Errors
/// 406 for a form that the page does not have.
pub(crate) async fn flagz(request: &Req) -> Result<Answer, Status> {
    let flags = flags(request);
    match negotiate::page(request.header(ACCEPT), "Flagz")? {
        Page::Text => {
            let mut text = format!("\n{COMPONENT} flagz\n{NOT_FOR_MACHINES}");
            for (name, value) in flags {
                let _ = writeln!(text, "{name}={value}");
            }
            Ok(body::whole(200, body::TEXT, text))
        }
        structured => {
            let flags =
                Map::from_entries(flags.into_iter().map(|(name, text)| (name.into(), Value::from(text))));
            Ok(object(request, "Flagz", structured, value!({"flags": Value::from(flags)})).await)
        }
    }
}

/// All of upstream's flags by name: those of the cluster's own settings, and the others as they are when nobody sets
/// them.
fn flags(request: &Req) -> BTreeMap<&'static str, String> {
    const DEFAULTS: &str = include_str!("flags.txt");
    let core = &request.core;
    let (address, port) = core.address.rsplit_once(':').unwrap_or((&core.address, ""));
    let mut flags: BTreeMap<&str, String> = DEFAULTS
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, text)| (name, text.to_owned()))
        .collect();
    let issuers = format!("[{}]", TokenConfig::default().issuer);
    flags.extend([
        ("advertise-address", address.to_owned()),
        ("api-audiences", issuers.clone()),
        ("external-hostname", address.to_owned()),
        ("secure-port", port.to_owned()),
        ("service-account-issuer", issuers),
        ("service-cluster-ip-range", core.service_range.to_string()),
    ]);
    flags
}

async fn object(request: &Req, kind: &str, page: Page, fields: Value) -> Answer {
    let Page::Structured(version, format) = page else { return body::nothing(406) };
    let mut object = value!({
        "kind": kind, "apiVersion": format!("config.k8s.io/{version}"), "metadata": {"name": COMPONENT},
    });
    for (name, value) in fields.object_at(&[]).iter() {
        object.set(&[name], value.clone());
    }
    let mut answer = encode::value_answer(request, 200, &object, format).await;
    if version == "v1alpha1" {
        let page = kind.to_ascii_lowercase();
        let text = format!("This version of the {page} endpoint is deprecated. Please use a newer version.");
        body::warn(&mut answer, &text);
    }
    answer
}

/// The first parts of paths, without those that serve the API.
fn debugging(paths: &[String]) -> Vec<String> {
    let first = paths.iter().filter_map(|path| path.split('/').nth(1)).filter(|first| !first.is_empty());
    let all: BTreeSet<String> = first.map(|first| format!("/{first}")).collect();
    all.into_iter().filter(|path| !OTHERS.contains(&path.as_str())).collect()
}
