//! Pod IPs of a node.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use drydock_machinery::Key;

/// Addresses of a range, handed out lowest free first, as `host-local` does from its last one on. Each has an owner, by
/// uid, who alone can give it back.
#[derive(Debug)]
pub(crate) struct Pool {
    base: u32,
    size: u32,
    used: HashMap<u32, Key>,
    next: u32,
}

impl Pool {
    /// Of an IPv4 CIDR; the network's own address, its first (the bridge's) and its last are not handed out.
    pub(crate) fn new(cidr: &str) -> Option<Self> {
        let (address, bits) = cidr.split(',').next()?.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let size = 1u32.checked_shl(32u32.checked_sub(bits)?)?;
        (size >= 4).then(|| Self { base: u32::from(address), size, used: HashMap::new(), next: 2 })
    }

    /// An address for the owner: the one that it has, if it has one.
    pub(crate) fn take(&mut self, owner: &str) -> Option<String> {
        let own = self.used.iter().find(|(_, of)| of.as_str() == owner).map(|(offset, _)| *offset);
        let offset = own.or_else(|| self.free())?;
        self.used.insert(offset, owner.into());
        Some(Ipv4Addr::from(self.base + offset).to_string())
    }

    fn free(&mut self) -> Option<u32> {
        for _ in 2..self.size - 1 {
            let offset = self.next;
            self.next = if self.next + 2 < self.size { self.next + 1 } else { 2 };
            if !self.used.contains_key(&offset) {
                return Some(offset);
            }
        }
        None
    }

    /// Marks an address that the owner has already. Who had it first keeps it.
    pub(crate) fn keep(&mut self, address: &str, owner: &str) {
        if let Some(offset) = self.offset(address) {
            self.used.entry(offset).or_insert_with(|| owner.into());
        }
    }

    /// What the owner has is free again.
    pub(crate) fn release(&mut self, owner: &str) {
        self.used.retain(|_, of| of.as_str() != owner);
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
        pool.keep("10.1.2.3", "kept");
        let taken: Vec<_> = ["a", "b", "c", "d"].iter().map_while(|owner| pool.take(owner)).collect();
        assert_eq!(taken, ["10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
        assert_eq!(pool.take("e"), None);
        assert_eq!(pool.take("b").as_deref(), Some("10.1.2.4"), "asked again");
        pool.release("c");
        assert_eq!(pool.take("e").as_deref(), Some("10.1.2.5"));
        pool.release("c");
        assert_eq!(pool.take("f"), None, "it is another's by now");
        assert!(Pool::new("nonsense").is_none());
    }
}
