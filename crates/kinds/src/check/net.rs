//! IP addresses and networks, read as leniently as upstream reads old fields: leading zeros are decimal.

use std::net::{IpAddr, Ipv4Addr};

use drydock_machinery::{FieldErrors, FieldPath};

const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const BAD_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// `netutils.ParseIPSloppy`.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip);
    }
    let parts: Vec<&str> = text.split('.').collect();
    let octet = |part: &&str| -> Option<u8> {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse().ok() } else { None }
    };
    match parts.iter().map(octet).collect::<Option<Vec<u8>>>()?[..] {
        [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).into()),
        _ => None,
    }
}

/// A network and the length of its prefix.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, prefix) = text.split_once('/')?;
    let ip = parse_ip(ip)?;
    let prefix: u8 =
        if prefix.bytes().all(|b| b.is_ascii_digit()) { prefix.parse().ok()? } else { return None };
    (prefix <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, prefix))
}

pub(crate) fn ip(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if parse_ip(text).is_none() {
        errors.invalid(path, text, BAD_IP);
    }
}

pub(crate) fn cidr(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if parse_cidr(text).is_none() {
        errors.invalid(path, text, BAD_CIDR);
    }
}

/// `ValidateNonSpecialIP`: addresses that no endpoint may have.
pub(crate) fn non_special_ip(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let Some(ip) = parse_ip(text) else {
        errors.invalid(path, text, "must be a valid IP address");
        return;
    };
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if ip.is_unspecified() {
        errors.invalid(path, text, format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        errors.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if link_local_multicast {
        errors.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}
