//! Which cluster IPs and node ports are taken.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use rand::Rng as _;

/// Of `10.96.0.0/12`, the range that kubeadm gives to Services.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const ADDRESSES: u32 = 1 << 20;
/// The first addresses are left to those who ask for one by name.
const STATIC_ADDRESSES: u32 = 256;
pub(crate) const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;
/// How many random picks are tried before the range is searched.
const PICKS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Pool {
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
    pub(crate) fn mark_address(&mut self, ip: Ipv4Addr) {
        self.addresses.insert(ip);
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
        let at = u32::from(ip).wrapping_sub(FIRST_ADDRESS);
        if at == 0 || at >= ADDRESSES - 1 {
            return Err(Refused::OutOfRange);
        }
        if self.addresses.insert(ip) { Ok(()) } else { Err(Refused::Taken) }
    }

    pub(crate) fn any_address(&mut self) -> Result<Ipv4Addr, Refused> {
        let mut rng = rand::rng();
        for _ in 0..PICKS {
            let ip = Ipv4Addr::from(FIRST_ADDRESS + rng.random_range(STATIC_ADDRESSES..ADDRESSES - 1));
            if self.addresses.insert(ip) {
                return Ok(ip);
            }
        }
        let free = (1..ADDRESSES - 1).rev().map(|at| Ipv4Addr::from(FIRST_ADDRESS + at));
        let free = free.into_iter().find(|ip| !self.addresses.contains(ip)).ok_or(Refused::Full)?;
        self.addresses.insert(free);
        Ok(free)
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
