//! Which cluster IPs and node ports are taken.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use rand::Rng as _;

use super::ServiceRange;

pub(crate) const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;
/// How many random picks are tried before the range is searched.
const PICKS: usize = 64;

#[derive(Debug)]
pub(crate) struct Pool {
    range: ServiceRange,
    /// Those of further ServiceCIDRs that are ready.
    more: Vec<ServiceRange>,
    addresses: HashSet<Ipv4Addr>,
    ports: HashSet<u16>,
}

/// Why a wanted address or port is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Taken,
    OutOfRange,
    Full,
}

impl Pool {
    pub(crate) fn new(range: ServiceRange) -> Self {
        Self { range, more: Vec::new(), addresses: HashSet::new(), ports: HashSet::new() }
    }

    pub(crate) fn range(&self) -> ServiceRange {
        self.range
    }

    pub(crate) fn set_more(&mut self, more: Vec<ServiceRange>) {
        self.more = more;
    }

    /// Whether it was free.
    pub(crate) fn mark_address(&mut self, ip: Ipv4Addr) -> bool {
        self.addresses.insert(ip)
    }

    pub(crate) fn mark_port(&mut self, port: u16) {
        self.ports.insert(port);
    }

    pub(crate) fn release_address(&mut self, ip: Ipv4Addr) {
        self.addresses.remove(&ip);
    }

    pub(crate) fn release_port(&mut self, port: u16) {
        self.ports.remove(&port);
    }

    pub(crate) fn take_address(&mut self, ip: Ipv4Addr) -> Result<(), Refused> {
        if !self.range.holds(ip) && !self.more.iter().any(|range| range.holds(ip)) {
            return Err(Refused::OutOfRange);
        }
        if self.addresses.insert(ip) { Ok(()) } else { Err(Refused::Taken) }
    }

    /// From the cluster's own range, and when that is full from the others.
    pub(crate) fn any_address(&mut self) -> Result<Ipv4Addr, Refused> {
        let ranges: Vec<ServiceRange> =
            std::iter::once(self.range).chain(self.more.iter().copied()).collect();
        ranges.into_iter().find_map(|range| self.any_in(range)).ok_or(Refused::Full)
    }

    fn any_in(&mut self, range: ServiceRange) -> Option<Ipv4Addr> {
        let mut rng = rand::rng();
        for _ in 0..PICKS {
            let ip = range.address(rng.random_range(range.reserved().max(1)..range.size() - 1));
            if self.addresses.insert(ip) {
                return Some(ip);
            }
        }
        let all = (1..range.size() - 1).rev().map(|at| range.address(at));
        let free = all.into_iter().find(|ip| !self.addresses.contains(ip))?;
        self.addresses.insert(free);
        Some(free)
    }

    pub(crate) fn take_port(&mut self, port: u16) -> Result<(), Refused> {
        if !NODE_PORTS.contains(&port) {
            return Err(Refused::OutOfRange);
        }
        if self.ports.insert(port) { Ok(()) } else { Err(Refused::Taken) }
    }

    pub(crate) fn any_port(&mut self) -> Result<u16, Refused> {
        let mut rng = rand::rng();
        for _ in 0..PICKS {
            let port = rng.random_range(NODE_PORTS);
            if self.ports.insert(port) {
                return Ok(port);
            }
        }
        let free = NODE_PORTS.clone().find(|port| !self.ports.contains(port)).ok_or(Refused::Full)?;
        self.ports.insert(free);
        Ok(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_range_is_given_out_to_the_last_address() {
        let mut pool = Pool::new(ServiceRange::parse("192.168.7.16/28").unwrap());
        assert_eq!(pool.take_address(Ipv4Addr::new(192, 168, 7, 17)), Ok(()));
        for outside in [[192, 168, 7, 16], [192, 168, 7, 31], [10, 96, 0, 9]] {
            assert_eq!(pool.take_address(Ipv4Addr::from(outside)), Err(Refused::OutOfRange));
        }
        let mut given: Vec<_> = (0..13).map(|_| pool.any_address().unwrap().octets()[3]).collect();
        given.sort_unstable();
        assert_eq!(given, (18..=30).collect::<Vec<_>>());
        assert_eq!(pool.any_address(), Err(Refused::Full));
    }
}
