//! Facts about instance types that many clouds' users name: for the mock cloud, and where a cloud cannot be asked.
//!
//! Sources: the vendors' instance type tables. Names follow rules within a family, so the rules are here, not a list of
//! thousands. A name that fits no rule is unknown.

use std::collections::BTreeMap;

use crate::InstanceType;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// What a node without network interface limits carries by default.
pub const DEFAULT_MAX_PODS: u32 = 110;

/// The type of this name in whichever catalog has it.
pub fn any(name: &str) -> Option<InstanceType> {
    generic(name).or_else(|| aws(name)).or_else(|| gcp(name)).or_else(|| azure(name))
}

/// Every pod takes an IP of an interface, the first IP of each is the node's own; two pods use the host network.
pub fn max_pods_by_interfaces(interfaces: u32, ips_per_interface: u32) -> u32 {
    interfaces * ips_per_interface.saturating_sub(1) + 2
}

/// The mock cloud's own sizes.
pub fn generic(name: &str) -> Option<InstanceType> {
    let (cpus, gib) = match name {
        "small" => (1, 2),
        "medium" => (2, 4),
        "large" => (4, 16),
        "xlarge" => (8, 32),
        "2xlarge" => (16, 64),
        _ => return None,
    };
    Some(plain(name, cpus * 1000, gib * GIB))
}

/// EC2: burstable types by table, general, compute and memory families by their sizes, some GPU types.
pub fn aws(name: &str) -> Option<InstanceType> {
    let (family, size) = name.split_once('.')?;
    let (cpus, mib, interfaces, ips) = match family {
        "t2" => t2(size)?,
        "t3" | "t3a" | "t4g" => t3(size)?,
        _ => ec2_family(family, size).or_else(|| ec2_gpu(name))?,
    };
    let graviton = family.ends_with('g') && !family.starts_with('g') || family.ends_with("gd");
    let mut out = plain(name, cpus * 1000, mib * MIB);
    out.max_pods = max_pods_by_interfaces(interfaces, ips);
    if graviton {
        out.architecture = "arm64".into();
    }
    if matches!(family, "g4dn" | "g5" | "p3") {
        out.extended.insert("nvidia.com/gpu".into(), 1);
    }
    Some(out)
}

/// vCPUs, MiB, network interfaces, IPv4 addresses per interface.
type Ec2 = (u64, u64, u32, u32);

fn t2(size: &str) -> Option<Ec2> {
    Some(match size {
        "nano" => (1, 512, 2, 2),
        "micro" => (1, 1024, 2, 2),
        "small" => (1, 2048, 3, 4),
        "medium" => (2, 4096, 3, 6),
        "large" => (2, 8192, 3, 12),
        "xlarge" => (4, 16384, 3, 15),
        "2xlarge" => (8, 32768, 3, 15),
        _ => return None,
    })
}

fn t3(size: &str) -> Option<Ec2> {
    Some(match size {
        "nano" => (2, 512, 2, 2),
        "micro" => (2, 1024, 2, 2),
        "small" => (2, 2048, 3, 4),
        "medium" => (2, 4096, 3, 6),
        "large" => (2, 8192, 3, 12),
        "xlarge" => (4, 16384, 4, 15),
        "2xlarge" => (8, 32768, 4, 15),
        _ => return None,
    })
}

fn ec2_family(family: &str, size: &str) -> Option<Ec2> {
    let mut letters = family.chars();
    let mib_per_cpu = match letters.next()? {
        'c' => 2048,
        'm' => 4096,
        'r' => 8192,
        _ => return None,
    };
    let generation = letters.next()?.to_digit(10)?;
    let variant = letters.as_str();
    if !(5..=8).contains(&generation) || !matches!(variant, "" | "a" | "i" | "g" | "d" | "n" | "ad" | "gd") {
        return None;
    }
    let (cpus, interfaces, ips) = match size {
        "medium" if variant.starts_with('g') || generation >= 7 => (1, 2, 4),
        "large" => (2, 3, 10),
        "xlarge" => (4, 4, 15),
        "2xlarge" => (8, 4, 15),
        "4xlarge" => (16, 8, 30),
        "8xlarge" => (32, 8, 30),
        "12xlarge" => (48, 8, 30),
        "16xlarge" => (64, 15, 50),
        "24xlarge" => (96, 15, 50),
        _ => return None,
    };
    Some((cpus, cpus * mib_per_cpu, interfaces, ips))
}

fn ec2_gpu(name: &str) -> Option<Ec2> {
    Some(match name {
        "g4dn.xlarge" => (4, 16384, 3, 10),
        "g5.xlarge" => (4, 16384, 4, 15),
        "p3.2xlarge" => (8, 62464, 4, 15),
        _ => return None,
    })
}

/// Compute Engine: `e2-medium`, `n2-standard-4`, `c3-highmem-8`, …
pub fn gcp(name: &str) -> Option<InstanceType> {
    let shared = match name {
        "e2-micro" => Some(1),
        "e2-small" => Some(2),
        "e2-medium" => Some(4),
        _ => None,
    };
    if let Some(gib) = shared {
        return Some(plain(name, 2000, gib * GIB));
    }
    let mut parts = name.split('-');
    let (family, shape, cpus) = (parts.next()?, parts.next()?, parts.next()?);
    let cpus: u64 = cpus.parse().ok().filter(|cpus| (1..=224).contains(cpus))?;
    let known = ["e2", "n1", "n2", "n2d", "n4", "c2", "c2d", "c3", "c3d", "c4", "t2d", "t2a"];
    if !known.contains(&family) || parts.next().is_some() {
        return None;
    }
    let mib_per_cpu = match (family, shape) {
        ("n1", "standard") => 3840,
        ("n1", "highmem") => 6656,
        ("n1", "highcpu") => 922,
        (_, "standard") => 4096,
        (_, "highmem") => 8192,
        (_, "highcpu") => 1024,
        _ => return None,
    };
    let mut out = plain(name, cpus * 1000, cpus * mib_per_cpu * MIB);
    if family == "t2a" {
        out.architecture = "arm64".into();
    }
    Some(out)
}

/// Azure: `Standard_D4s_v5`, `Standard_B2ms`, `Standard_DS2_v2`, …
pub fn azure(name: &str) -> Option<InstanceType> {
    let rest = name.strip_prefix("Standard_")?;
    let (cpus, mib) = match rest {
        "B2s" => (2, 4096),
        "B2ms" => (2, 8192),
        "B4ms" => (4, 16384),
        "DS1_v2" | "D1_v2" => (1, 3584),
        "DS2_v2" | "D2_v2" => (2, 7168),
        "DS3_v2" | "D3_v2" => (4, 14336),
        "DS4_v2" | "D4_v2" => (8, 28672),
        _ => azure_family(rest)?,
    };
    let mut out = plain(name, cpus * 1000, mib * MIB);
    if rest.split('_').next().is_some_and(|head| head.ends_with("ps") || head.ends_with("pds")) {
        out.architecture = "arm64".into();
    }
    Some(out)
}

fn azure_family(rest: &str) -> Option<(u64, u64)> {
    let mib_per_cpu = match rest.chars().next()? {
        'D' => 4096,
        'E' => 8192,
        'F' => 2048,
        _ => return None,
    };
    let (head, version) = rest[1..].split_once("_v")?;
    version.parse::<u8>().ok()?;
    let digits = head.find(|c: char| !c.is_ascii_digit()).unwrap_or(head.len());
    let cpus: u64 = head[..digits].parse().ok().filter(|cpus| (1..=208).contains(cpus))?;
    head[digits..].chars().all(|c| "adlps".contains(c)).then_some((cpus, cpus * mib_per_cpu))
}

fn plain(name: &str, cpu_millis: u64, memory_bytes: u64) -> InstanceType {
    InstanceType {
        name: name.to_owned(),
        cpu_millis,
        memory_bytes,
        extended: BTreeMap::new(),
        architecture: "amd64".into(),
        max_pods: DEFAULT_MAX_PODS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_vendors_sizes() {
        let facts =
            |name: &str| any(name).map(|t| (t.cpu_millis, t.memory_bytes / MIB, t.max_pods, t.architecture));
        let amd = |cpu, mib, pods| Some((cpu, mib, pods, "amd64".to_owned()));
        let cases = [
            ("t3.medium", amd(2000, 4096, 17)),
            ("t3.large", amd(2000, 8192, 35)),
            ("m5.large", amd(2000, 8192, 29)),
            ("m5.xlarge", amd(4000, 16384, 58)),
            ("c5.4xlarge", amd(16000, 32768, 234)),
            ("r6i.16xlarge", amd(64000, 524_288, 737)),
            ("g4dn.xlarge", amd(4000, 16384, 29)),
            ("m6g.large", Some((2000, 8192, 29, "arm64".to_owned()))),
            ("t4g.small", Some((2000, 2048, 11, "arm64".to_owned()))),
            ("e2-medium", amd(2000, 4096, 110)),
            ("n2-standard-4", amd(4000, 16384, 110)),
            ("Standard_D4s_v5", amd(4000, 16384, 110)),
            ("Standard_D4ps_v5", Some((4000, 16384, 110, "arm64".to_owned()))),
            ("Standard_DS2_v2", amd(2000, 7168, 110)),
            ("medium", amd(2000, 4096, 110)),
            ("t3.enormous", None),
            ("x9.large", None),
            ("m5.medium", None),
            ("Standard_Q1_v1", None),
            ("e2-standard-0", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(facts(name), expected, "{name}");
        }
    }
}
