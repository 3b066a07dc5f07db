//! IP addresses: Kubernetes' `library/ip.go`. Texts are read as Go's `net/netip` reads them.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::value::{Opaque, Value};

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip(pub(super) IpAddr);

impl Opaque for Ip {
    fn type_name(&self) -> &str {
        "net.IP"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        other.map(|other| self == other).ok_or_else(EvalError::no_such_overload)
    }

    fn size(&self) -> Option<u64> {
        Some(if self.0.is_ipv4() { 4 } else { 16 })
    }

    fn text(&self) -> Option<String> {
        Some(self.0.to_string())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("ip", |_, args| match args {
        [Value::String(text)] => parse_ip(text).map(|ip| Value::opaque(Ip(ip))).map_err(EvalError::new),
        [cidr] => match cidr.downcast::<super::cidr::Cidr>() {
            Some(cidr) => Ok(Value::opaque(Ip(cidr.address))),
            None => Err(no_overload("ip", args)),
        },
        _ => Err(no_overload("ip", args)),
    }),
    ("isIP", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(parse_ip(text).is_ok())),
        _ => Err(no_overload("isIP", args)),
    }),
    ("ip.isCanonical", |_, args| match args {
        [Value::String(text)] => {
            let ip = parse_ip(text).map_err(EvalError::new)?;
            Ok(Value::Bool(ip.to_string() == text.as_str()))
        }
        _ => Err(no_overload("ip.isCanonical", args)),
    }),
    ("family", |_, args| of("family", args).map(|ip| Value::Int(if ip.is_ipv4() { 4 } else { 6 }))),
    ("isUnspecified", |_, args| of("isUnspecified", args).map(|ip| Value::Bool(ip.is_unspecified()))),
    ("isLoopback", |_, args| of("isLoopback", args).map(|ip| Value::Bool(ip.is_loopback()))),
    ("isLinkLocalMulticast", |_, args| {
        of("isLinkLocalMulticast", args).map(|ip| Value::Bool(is_link_local_multicast(ip)))
    }),
    ("isLinkLocalUnicast", |_, args| {
        of("isLinkLocalUnicast", args).map(|ip| Value::Bool(is_link_local_unicast(ip)))
    }),
    ("isGlobalUnicast", |_, args| of("isGlobalUnicast", args).map(|ip| Value::Bool(is_global_unicast(ip)))),
];

fn of(function: &str, args: &[Value]) -> Result<IpAddr, EvalError> {
    match args {
        [value] => value.downcast::<Ip>().map(|ip| ip.0).ok_or_else(|| no_overload(function, args)),
        _ => Err(no_overload(function, args)),
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn is_global_unicast(ip: IpAddr) -> bool {
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local_unicast(ip))
}

/// An address without zone, and not an IPv4 one in IPv6's clothes.
fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let ip = parse_address(text)
        .map_err(|error| format!("IP Address {text:?} parse error during conversion from string: {error}"))?;
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    if is_mapped(ip) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    Ok(ip)
}

pub(super) fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

/// `netip.ParseAddr`, zones left out.
pub(super) fn parse_address(text: &str) -> Result<IpAddr, String> {
    let shape = text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]);
    let parsed = match shape {
        Some(b'.') => parse_v4(text).map(|octets| IpAddr::V4(octets.into())),
        Some(b':') => parse_v6(text).map(IpAddr::V6),
        Some(_) => Err("missing IPv6 address".to_owned()),
        None => Err("unable to parse IP".to_owned()),
    };
    parsed.map_err(|error| format!("ParseAddr({text:?}): {error}"))
}

fn at(message: &str, rest: &str) -> String {
    format!("{message} (at {rest:?})")
}

fn parse_v4(text: &str) -> Result<[u8; 4], String> {
    let mut octets = [0; 4];
    let mut fields = 0;
    let mut field: Option<u16> = None;
    for (index, c) in text.char_indices() {
        match (c, field) {
            ('0'..='9', Some(0)) => return Err("IPv4 field has octet with leading zero".to_owned()),
            ('0'..='9', _) => {
                let value = field.unwrap_or(0) * 10 + (c as u16 - '0' as u16);
                if value > 255 {
                    return Err("IPv4 field has value >255".to_owned());
                }
                field = Some(value);
            }
            ('.', None) => return Err(at("IPv4 field must have at least one digit", &text[index..])),
            ('.', Some(_)) if index + 1 == text.len() => {
                return Err(at("IPv4 field must have at least one digit", &text[index..]));
            }
            ('.', Some(_)) if fields == 3 => return Err("IPv4 address too long".to_owned()),
            ('.', Some(value)) => {
                octets[fields] = value as u8;
                fields += 1;
                field = None;
            }
            _ => return Err(at("unexpected character", &text[index..])),
        }
    }
    if fields < 3 {
        return Err("IPv4 address too short".to_owned());
    }
    octets[3] = field.unwrap_or(0) as u8;
    Ok(octets)
}

fn parse_v6(text: &str) -> Result<Ipv6Addr, String> {
    let mut rest = text;
    if let Some((address, zone)) = text.split_once('%') {
        if zone.is_empty() {
            return Err("zone must be a non-empty string".to_owned());
        }
        rest = address;
    }
    let mut groups: Vec<u16> = Vec::new();
    // Where `::` stands, in groups.
    let mut gap = None;
    if let Some(after) = rest.strip_prefix("::") {
        gap = Some(0);
        rest = after;
        if rest.is_empty() {
            return Ok(Ipv6Addr::UNSPECIFIED);
        }
    }
    while groups.len() < 8 {
        let digits = hex_digits(rest)?;
        if rest[digits..].starts_with('.') {
            embedded_v4(rest, &mut groups, gap)?;
            rest = "";
            break;
        }
        groups.push(u16::from_str_radix(&rest[..digits], 16).unwrap_or(0));
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        rest = after_colon(rest)?;
        if let Some(after) = rest.strip_prefix(':') {
            if gap.is_some() {
                return Err(at("multiple :: in address", rest));
            }
            gap = Some(groups.len());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return Err(at("trailing garbage after address", rest));
    }
    expand(groups, gap)
}

/// How many digits the next group has.
fn hex_digits(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    match digits {
        0 => Err(at("each colon-separated field must have at least one digit", text)),
        1..=4 => Ok(digits),
        _ => Err(at("each group must have 4 or less digits", text)),
    }
}

fn embedded_v4(text: &str, groups: &mut Vec<u16>, gap: Option<usize>) -> Result<(), String> {
    if gap.is_none() && groups.len() != 6 {
        let message = "embedded IPv4 address must replace the final 2 fields of the address";
        return Err(at(message, text));
    }
    if groups.len() > 6 {
        let message = "too many hex fields to fit an embedded IPv4 at the end of the address";
        return Err(at(message, text));
    }
    let [a, b, c, d] = parse_v4(text)?;
    groups.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
    Ok(())
}

fn after_colon(text: &str) -> Result<&str, String> {
    match text.strip_prefix(':') {
        None => Err(at("unexpected character, want colon", text)),
        Some("") => Err(at("colon must be followed by more characters", text)),
        Some(rest) => Ok(rest),
    }
}

fn expand(mut groups: Vec<u16>, gap: Option<usize>) -> Result<Ipv6Addr, String> {
    match gap {
        None if groups.len() < 8 => return Err("address string too short".to_owned()),
        Some(_) if groups.len() == 8 => {
            return Err("the :: must expand to at least one field of zeros".to_owned());
        }
        Some(gap) => {
            let zeros = std::iter::repeat_n(0, 8 - groups.len());
            groups.splice(gap..gap, zeros);
        }
        None => {}
    }
    let segments: [u16; 8] = groups.try_into().map_err(|_| "address string too short".to_owned())?;
    Ok(segments.into())
}
