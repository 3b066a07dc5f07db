//! Networks: Kubernetes' `library/cidr.go`.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ip::{Ip, is_mapped, parse_address};
use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::value::{Opaque, Value};

/// An address and how many of its bits are the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    pub(super) address: IpAddr,
    bits: u32,
}

impl Opaque for Cidr {
    fn type_name(&self) -> &str {
        "net.CIDR"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        other.map(|other| self == other).ok_or_else(EvalError::no_such_overload)
    }

    fn size(&self) -> Option<u64> {
        Some(self.bits.div_ceil(8).into())
    }

    fn text(&self) -> Option<String> {
        Some(format!("{}/{}", self.address, self.bits))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("cidr", |_, args| match args {
        [Value::String(text)] => parse(text).map(Value::opaque),
        _ => Err(no_overload("cidr", args)),
    }),
    ("isCIDR", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(parse(text).is_ok())),
        _ => Err(no_overload("isCIDR", args)),
    }),
    ("containsIP", |_, args| contains_ip(args)),
    ("containsCIDR", |_, args| contains_cidr(args)),
    ("prefixLength", |_, args| of("prefixLength", args).map(|cidr| Value::Int(cidr.bits.into()))),
    ("masked", |_, args| {
        let cidr = of("masked", args)?;
        Ok(Value::opaque(Cidr { address: masked(cidr.address, cidr.bits), bits: cidr.bits }))
    }),
];

fn of(function: &str, args: &[Value]) -> Result<Cidr, EvalError> {
    let first = args.first().and_then(|value| value.downcast::<Cidr>());
    first.copied().ok_or_else(|| no_overload(function, args))
}

fn contains_ip(args: &[Value]) -> Result<Value, EvalError> {
    let cidr = of("containsIP", args)?;
    let ip = match args {
        // Upstream's error for a text that is no address says no more than this.
        [_, Value::String(text)] => match parse_address(text) {
            Ok(ip) if !text.contains('%') && !is_mapped(ip) => ip,
            _ => return Err(EvalError::no_such_overload()),
        },
        [_, other] => other.downcast::<Ip>().ok_or_else(|| no_overload("containsIP", args))?.0,
        _ => return Err(no_overload("containsIP", args)),
    };
    let same = cidr.address.is_ipv4() == ip.is_ipv4();
    Ok(Value::Bool(same && masked(ip, cidr.bits) == masked(cidr.address, cidr.bits)))
}

fn contains_cidr(args: &[Value]) -> Result<Value, EvalError> {
    let cidr = of("containsCIDR", args)?;
    let other = match args {
        [_, Value::String(text)] => parse(text)?,
        [_, other] => *other.downcast::<Cidr>().ok_or_else(|| no_overload("containsCIDR", args))?,
        _ => return Err(no_overload("containsCIDR", args)),
    };
    let same = cidr.address.is_ipv4() == other.address.is_ipv4();
    let overlaps = masked(other.address, cidr.bits) == masked(cidr.address, cidr.bits);
    Ok(Value::Bool(same && overlaps && cidr.bits <= other.bits))
}

fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

fn parse(text: &str) -> Result<Cidr, EvalError> {
    const WHAT: &str = "network address parse error during conversion from string";
    let cidr = parse_prefix(text)
        .map_err(|error| EvalError::new(format!("{WHAT}: {WHAT}: netip.ParsePrefix({text:?}): {error}")))?;
    if is_mapped(cidr.address) {
        let message = format!("{WHAT}: IPv4-mapped IPv6 address {text:?} is not allowed");
        return Err(EvalError::new(message));
    }
    Ok(cidr)
}

/// `netip.ParsePrefix`.
fn parse_prefix(text: &str) -> Result<Cidr, String> {
    let (address, digits) = text.rsplit_once('/').ok_or("no '/'")?;
    let parsed = parse_address(address)?;
    if address.contains('%') {
        return Err("IPv6 zones cannot be present in a prefix".to_owned());
    }
    let bad = || format!("bad bits after slash: {digits:?}");
    if digits.len() > 1 && !digits.starts_with(|c: char| ('1'..='9').contains(&c)) {
        return Err(bad());
    }
    let bits: u64 = digits.parse().map_err(|_| bad())?;
    let most = if parsed.is_ipv4() { 32 } else { 128 };
    match u32::try_from(bits) {
        Ok(bits) if bits <= most => Ok(Cidr { address: parsed, bits }),
        _ => Err("prefix length out of range".to_owned()),
    }
}
