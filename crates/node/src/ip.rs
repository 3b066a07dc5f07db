//! Pod IPs of a node.

use std::collections::HashSet;
use std::net::Ipv4Addr;

/// Addresses of a range, handed out lowest free first, as `host-local` does from its last one on.
#[derive(Debug)]
pub(crate) struct Pool {
    base: u32,
    size: u32,
    used: HashSet<u32>,
    next: u32,
}

impl Pool {
    /// Of an IPv4 CIDR; the network's own address, its first (the bridge's) and its last are not handed out.
    pub(crate) fn new(cidr: &str) -> Option<Self> {
        let (address, bits) = cidr.split(',').next()?.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let size = 1u32.checked_shl(32u32.checked_sub(bits)?)?;
        (size >= 4).then(|| Self { base: u32::from(address), size, used: HashSet::new(), next: 2 })
    }

    pub(crate) fn take(&mut self) -> Option<String> {
        for _ in 2..self.size - 1 {
            let offset = self.next;
            self.next = if self.next + 2 < self.size { self.next + 1 } else { 2 };
            if self.used.insert(offset) {
                return Some(Ipv4Addr::from(self.base + offset).to_string());
            }
        }
        None
    }

    /// Marks an address that a pod has already.
    pub(crate) fn keep(&mut self, address: &str) {
        if let Some(offset) = self.offset(address) {
            self.used.insert(offset);
        }
    }

    pub(crate) fn release(&mut self, address: &str) {
        if let Some(offset) = self.offset(address) {
            self.used.remove(&offset);
        }
    }

    fn offset(&self, address: &str) -> Option<u32> {
        let address: Ipv4Addr = address.parse().ok()?;
        u32::from(address).checked_sub(self.base).filter(|offset| *offset < self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_handed_out_once_until_released() {
        let mut pool = Pool::new("10.1.2.0/29").unwrap();
        pool.keep("10.1.2.3");
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken, ["10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
        pool.release("10.1.2.5");
        assert_eq!(pool.take().as_deref(), Some("10.1.2.5"));
        assert!(Pool::new("nonsense").is_none());
    }
}
