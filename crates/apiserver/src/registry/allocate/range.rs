//! The network that Services get their addresses from.

use std::net::Ipv4Addr;

/// An IPv4 network, as kube-apiserver's `--service-cluster-ip-range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    base: u32,
    prefix: u32,
}

/// What the API server takes no more of, and no less: the limits of a range that `--service-cluster-ip-range` has.
const PREFIXES: std::ops::RangeInclusive<u32> = 12..=30;

impl ServiceRange {
    /// `10.96.0.0/12`. None for what is no IPv4 network without host bits, or has not between 4 and 2^20 addresses.
    pub fn parse(cidr: &str) -> Option<Self> {
        let (address, prefix) = cidr.split_once('/')?;
        let base = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let prefix: u32 = prefix.parse().ok().filter(|prefix| PREFIXES.contains(prefix))?;
        let range = Self { base, prefix };
        (base & (range.size() - 1) == 0).then_some(range)
    }

    /// What the Service `kubernetes` has: the first address after that of the network.
    pub fn first_address(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1)
    }

    /// All addresses, with those of the network and of the broadcast.
    pub(super) fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    pub(super) fn address(self, at: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base + at)
    }

    pub(super) fn holds(self, ip: Ipv4Addr) -> bool {
        let at = u32::from(ip).wrapping_sub(self.base);
        at != 0 && at < self.size() - 1
    }

    /// How many of the first addresses are left to those who ask for one by name (`calculateRangeOffset` upstream).
    pub(super) fn reserved(self) -> u32 {
        const AT_LEAST: u32 = 16;
        const AT_MOST: u32 = 256;
        let share = self.size() / 16;
        if self.size() - 2 < AT_LEAST { 0 } else { share.clamp(AT_LEAST, AT_MOST) }
    }
}

/// The range that kubeadm gives to Services.
impl Default for ServiceRange {
    fn default() -> Self {
        Self { base: u32::from_be_bytes([10, 96, 0, 0]), prefix: 12 }
    }
}

impl std::fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_networks_that_hold_services() {
        for good in ["10.96.0.0/12", "192.168.7.16/28", "172.20.0.0/16"] {
            assert_eq!(ServiceRange::parse(good).unwrap().to_string(), good);
        }
        for bad in ["10.96.0.1/12", "10.0.0.0/8", "10.96.0.0", "fd00::/108", "10.0.0.0/31", "x/16"] {
            assert_eq!(ServiceRange::parse(bad), None, "{bad}");
        }
        assert_eq!(ServiceRange::default(), ServiceRange::parse("10.96.0.0/12").unwrap());
    }

    #[test]
    fn a_part_at_the_start_is_left_for_addresses_by_name() {
        let reserved = |cidr| ServiceRange::parse(cidr).unwrap().reserved();
        assert_eq!(["10.0.0.0/28", "10.0.0.0/27", "10.0.0.0/24"].map(reserved), [0, 16, 16]);
        assert_eq!(["10.0.0.0/22", "10.0.0.0/20", "10.0.0.0/12"].map(reserved), [64, 256, 256]);
    }
}
