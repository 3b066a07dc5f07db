//! Which port a cluster's endpoint gets.

use std::net::{IpAddr, SocketAddr, TcpListener};

use super::error::{Result, ServiceError};

/// Ports for clusters' endpoints, both ends included, and the address that they are bound on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub address: IpAddr,
    pub from: u16,
    pub to: u16,
}

impl PortRange {
    /// A port that no cluster has and nobody else listens on. `seed` says where to begin to look, so that services on
    /// one machine rarely want the same.
    pub(super) fn choose(&self, taken: &[u16], seed: u128) -> Result<u16> {
        self.choose_with(taken, seed, |port| TcpListener::bind(SocketAddr::new(self.address, port)).is_ok())
    }

    fn choose_with(&self, taken: &[u16], seed: u128, free: impl Fn(u16) -> bool) -> Result<u16> {
        let count = u32::from(self.to.saturating_sub(self.from)) + 1;
        let start = u32::try_from(seed % u128::from(count)).unwrap_or_default();
        (0..count)
            .filter_map(|step| u16::try_from(u32::from(self.from) + (start + step) % count).ok())
            .find(|port| taken.binary_search(port).is_err() && free(*port))
            .ok_or(ServiceError::NoPort { from: self.from, to: self.to })
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_and_wraps_around_the_range() {
        let range = PortRange { address: IpAddr::from([127, 0, 0, 1]), from: 100, to: 103 };
        let choose =
            |taken: &[u16], seed, busy: u16| range.choose_with(taken, seed, |port| port != busy).ok();
        assert_eq!(choose(&[], 0, 0), Some(100));
        assert_eq!(choose(&[], 6, 0), Some(102));
        assert_eq!(choose(&[102, 103], 2, 0), Some(100));
        assert_eq!(choose(&[102, 103], 2, 100), Some(101));
        assert_eq!(choose(&[100, 101, 102], 0, 103), None);
    }
}
