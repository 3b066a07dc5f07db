//! Which names, versions, networks, labels and taints are valid. Pure; each check adds to a list of field errors.
//!
//! Sources: RFC 1123 labels; Kubernetes' label and taint syntax; kube-apiserver's limits of `--service-cluster-ip-range`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::database::node_pool::Taint;

use super::error::FieldError;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<FieldError>);

impl Findings {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Adds what a check says, if anything.
    pub fn check(&mut self, field: impl Into<String>, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.add(field, message);
        }
    }
}

/// The native API's names: RFC 1123 labels. They do not look like uids, which may stand in their place.
pub fn name(value: &str) -> Result<(), String> {
    const RULE: &str =
        "must be 1 to 63 lower case letters, digits or '-', and begin and end with a letter or digit";
    if !is_dns_label(value) {
        return Err(format!("{value:?} {RULE}"));
    }
    if uuid::Uuid::try_parse(value).is_ok() {
        return Err(format!("{value:?} must not have the form of a UUID"));
    }
    Ok(())
}

fn is_dns_label(value: &str) -> bool {
    (1..=63).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !value.starts_with('-')
        && !value.ends_with('-')
}

/// A network in CIDR form with no host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u32,
    prefix: u8,
}

impl Network {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} must be an IPv4 network such as \"10.244.0.0/16\"");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let base = u32::from(address.parse::<Ipv4Addr>().map_err(|_| wrong())?);
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(wrong)?;
        let network = Self { base: base & mask(prefix), prefix };
        if network.base != base {
            return Err(format!("{text:?} has host bits set; did you mean \"{network}\"?"));
        }
        Ok(network)
    }

    fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.base & mask == other.base & mask
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// Both networks of a cluster.
pub fn networks(findings: &mut Findings, pod_cidr: &str, service_cidr: &str) {
    let pods = Network::parse(pod_cidr).and_then(|network| sized(network, 8, 24, "pods"));
    let services = Network::parse(service_cidr).and_then(|network| sized(network, 12, 28, "services"));
    if let (Ok(pods), Ok(services)) = (&pods, &services)
        && pods.overlaps(*services)
    {
        findings.add("network.serviceCidr", format!("{services} overlaps with network.podCidr {pods}"));
    }
    findings.check("network.podCidr", pods.map(drop));
    findings.check("network.serviceCidr", services.map(drop));
}

fn sized(network: Network, widest: u8, narrowest: u8, what: &str) -> Result<Network, String> {
    if (widest..=narrowest).contains(&network.prefix) {
        return Ok(network);
    }
    Err(format!("\"{network}\" must have a prefix between /{widest} and /{narrowest} to hold {what}"))
}

pub fn labels(findings: &mut Findings, field: &str, labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        findings.check(format!("{field}[{key:?}]"), label_key(key).and_then(|()| label_value(value)));
    }
}

pub fn taints(findings: &mut Findings, field: &str, taints: &[Taint]) {
    for (i, taint) in taints.iter().enumerate() {
        findings.check(format!("{field}[{i}].key"), label_key(&taint.key));
        findings.check(format!("{field}[{i}].value"), label_value(&taint.value));
        if !EFFECTS.contains(&taint.effect.as_str()) {
            let message = format!("{:?} must be one of {}", taint.effect, EFFECTS.join(", "));
            findings.add(format!("{field}[{i}].effect"), message);
        }
        let before = &taints[..i];
        if before.iter().any(|other| other.key == taint.key && other.effect == taint.effect) {
            findings.add(format!("{field}[{i}]"), "repeats the key and effect of an earlier taint");
        }
    }
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_ok = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label));
    if prefix_ok && !name.is_empty() && is_label_word(name) {
        return Ok(());
    }
    Err(format!(
        "{key:?} must be a label key: [DOMAIN/]NAME with 63 letters, digits, '-', '_' or '.' at most"
    ))
}

fn label_value(value: &str) -> Result<(), String> {
    if is_label_word(value) {
        return Ok(());
    }
    Err(format!("{value:?} must be a label value: 63 letters, digits, '-', '_' or '.' at most"))
}

fn is_label_word(word: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = word.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
        && edge(bytes.first())
        && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "dev", "0-9", "x2", &"a".repeat(63)] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        let uid = "a3bb189e-8bf9-3888-9912-ace4e6543002";
        for bad in ["", "Dev", "-a", "a-", "a_b", "a.b", "ü", "a b", &"a".repeat(64), uid] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_apart_and_of_a_useful_size() {
        let check = |pods: &str, services: &str| {
            let mut findings = Findings::default();
            networks(&mut findings, pods, services);
            findings
                .0
                .into_iter()
                .map(|error| format!("{}: {}", error.field, error.message))
                .collect::<Vec<_>>()
        };
        assert_eq!(check("10.244.0.0/16", "10.96.0.0/12"), [""; 0]);
        assert_eq!(
            check("10.244.0.1/16", "10.96.0.0/33"),
            [
                "network.podCidr: \"10.244.0.1/16\" has host bits set; did you mean \"10.244.0.0/16\"?",
                "network.serviceCidr: \"10.96.0.0/33\" must be an IPv4 network such as \"10.244.0.0/16\"",
            ]
        );
        assert_eq!(
            check("10.0.0.0/8", "10.96.0.0/12"),
            ["network.serviceCidr: 10.96.0.0/12 overlaps with network.podCidr 10.0.0.0/8"]
        );
        assert_eq!(
            check("10.0.0.0/30", "192.168.0.0/8"),
            [
                "network.podCidr: \"10.0.0.0/30\" must have a prefix between /8 and /24 to hold pods",
                "network.serviceCidr: \"192.168.0.0/8\" has host bits set; did you mean \"192.0.0.0/8\"?",
            ]
        );
    }

    #[test]
    fn labels_and_taints_have_kubernetes_syntax() {
        let good = ["a", "a/b", "example.com/Team_1", "A.b-c"];
        let bad = ["", "/a", "a/", "-a", "ex ample", "Example.com/a", "a/b/c", &"a".repeat(64)];
        for key in good {
            assert_eq!(label_key(key), Ok(()), "{key}");
        }
        for key in bad {
            assert!(label_key(key).is_err(), "{key}");
        }
        let taint =
            |key: &str, effect: &str| Taint { key: key.into(), value: "v".into(), effect: effect.into() };
        let mut findings = Findings::default();
        taints(
            &mut findings,
            "taints",
            &[taint("a", "NoSchedule"), taint("a", "NoSchedule"), taint("b", "Never")],
        );
        let fields: Vec<_> = findings.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["taints[1]", "taints[2].effect"]);
    }
}
