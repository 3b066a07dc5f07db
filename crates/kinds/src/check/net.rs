//! IP addresses and networks. Upstream reads old fields leniently, says what is wrong with leading zeros, and lets
//! pass on update what was let pass before.

use std::net::{IpAddr, Ipv4Addr};

use drydock_machinery::status::FieldError;
use drydock_machinery::{FieldErrors, FieldPath};

const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const BAD_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// `netutils.ParseIPSloppy`. An IPv4 address mapped into IPv6 is an IPv4 address.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
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
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u8 = if digits { prefix.parse().ok()? } else { return None };
    (prefix <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, prefix))
}

/// An IPv4 network mapped into IPv6, the length of its prefix counted in that.
fn parse_mapped_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, prefix) = text.split_once('/')?;
    let ip = parse_ip(ip).filter(|parsed| parsed.is_ipv4() && ip.contains(':'))?;
    let prefix: u8 = prefix.parse().ok()?;
    Some((ip, prefix.checked_sub(96).filter(|prefix| *prefix <= 32)?))
}

/// The first address of a network.
pub(crate) fn masked((ip, prefix): (IpAddr, u8)) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// Whether a network contains an address.
pub(crate) fn contains(network: (IpAddr, u8), ip: IpAddr) -> bool {
    network.0.is_ipv4() == ip.is_ipv4() && masked(network) == masked((ip, network.1))
}

/// `IsValidIPForLegacyField`.
pub(crate) fn ip(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let Some(ip) = parse_ip(text) else { return errors.invalid(path, text, BAD_IP) };
    if text.parse::<IpAddr>().is_err() {
        errors.invalid(path, text, "must not have leading 0s");
    }
    if ip.is_ipv4() && text.contains(':') {
        errors.invalid(path, text, "must not be an IPv4-mapped IPv6 address");
    }
}

/// The same, where an address that was there before may stay.
pub(crate) fn ip_unless(errors: &mut FieldErrors, text: &str, before: &[&str], path: &FieldPath) {
    if !before.contains(&text) {
        ip(errors, text, path);
    }
}

/// `IsValidIP`: also canonical.
pub(crate) fn canonical_ip(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let before = errors.len();
    ip(errors, text, path);
    if errors.len() == before
        && let Some(ip) = parse_ip(text)
        && ip.to_string() != text
    {
        errors.invalid(path, text, format!("must be in canonical form ({:?})", ip.to_string()));
    }
}

/// `IsValidCIDRForLegacyField`.
pub(crate) fn cidr(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let Some(network) = parse_cidr(text).or_else(|| parse_mapped_cidr(text)) else {
        return errors.invalid(path, text, BAD_CIDR);
    };
    let (address, length) = text.split_once('/').unwrap_or_default();
    if address.parse::<IpAddr>().is_err() || length.len() > 1 && length.starts_with('0') {
        errors.invalid(path, text, "must not have leading 0s in IP or prefix length");
    } else if network.0.is_ipv4() && address.contains(':') {
        errors.invalid(path, text, "must not have an IPv4-mapped IPv6 address");
    } else if masked(network) != network.0 {
        errors.invalid(path, text, "must not have bits set beyond the prefix length");
    }
}

/// The same, where a network that was there before may stay.
pub(crate) fn cidr_unless(errors: &mut FieldErrors, text: &str, before: &[&str], path: &FieldPath) {
    if !before.contains(&text) {
        cidr(errors, text, path);
    }
}

/// `IsValidCIDR`: also canonical.
pub(crate) fn canonical_cidr(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let before = errors.len();
    cidr(errors, text, path);
    if errors.len() == before
        && let Some(network) = parse_cidr(text)
    {
        let canonical = format!("{}/{}", masked(network), network.1);
        if canonical != text {
            errors.invalid(path, text, format!("must be in canonical form ({canonical:?})"));
        }
    }
}

/// `IsValidInterfaceAddress`: an address of a host, with the length of its network's prefix. The prefix of an IPv4
/// address mapped into IPv6 may be counted in either.
pub(crate) fn interface_address(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let Some((ip, prefix)) = parse_cidr(text).or_else(|| parse_mapped_cidr(text)) else {
        let form = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        return errors.invalid(path, text, form);
    };
    let canonical = format!("{ip}/{prefix}");
    if canonical != text {
        errors.invalid(path, text, format!("must be in canonical form ({canonical:?})"));
    }
}

/// `ValidateEndpointIP`: addresses that no endpoint may have.
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

/// Whether a list of addresses or networks has one of each family and no more: `IsDualStackIPs`.
pub(crate) fn dual_stack(ips: &[IpAddr]) -> bool {
    ips.iter().any(IpAddr::is_ipv4) && ips.iter().any(IpAddr::is_ipv6)
}

/// `GetWarningsForIP`.
pub(crate) fn ip_warnings(out: &mut Vec<String>, text: &str, path: &FieldPath) {
    let Some(ip) = parse_ip(text) else { return };
    let strict = text.parse::<IpAddr>().is_ok();
    if !strict || ip.is_ipv4() && text.contains(':') {
        out.push(format!("{path}: non-standard IP address {text:?} is invalid: use {:?}", ip.to_string()));
    } else if ip.is_ipv6() && ip.to_string() != text {
        let canonical = ip.to_string();
        out.push(format!(
            "{path}: IPv6 address {text:?} should be in RFC 5952 canonical format ({canonical:?})"
        ));
    }
}

/// `GetWarningsForCIDR`.
pub(crate) fn cidr_warnings(out: &mut Vec<String>, text: &str, path: &FieldPath) {
    let Some(network) = parse_cidr(text) else { return };
    let mut errors = FieldErrors::new();
    cidr(&mut errors, text, path);
    let (ip, length) = network;
    let first = format!("{}/{length}", masked(network));
    let before = out.len();
    if masked(network) != ip {
        let single = format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 });
        out.push(format!(
            "{path}: CIDR value {text:?} is ambiguous in this context (should be {first:?} or {single:?}?)"
        ));
    }
    let malformed = |error: &FieldError| !error.detail.contains("beyond the prefix");
    if errors.iter().any(malformed) {
        out.push(format!("{path}: non-standard CIDR value {text:?} is invalid: use {first:?}"));
    }
    if out.len() == before && ip.is_ipv6() && format!("{ip}/{length}") != text {
        out.push(format!(
            "{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({:?})",
            format!("{ip}/{length}")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(check: fn(&mut FieldErrors, &str, &FieldPath), text: &str) -> Vec<String> {
        let mut errors = FieldErrors::new();
        check(&mut errors, text, &FieldPath::new("x"));
        errors.iter().map(|error| error.detail.clone()).collect()
    }

    #[test]
    fn what_is_read_leniently_is_still_wrong() {
        assert!(wrong(ip, "10.0.0.1").is_empty());
        assert_eq!(wrong(ip, "010.0.0.1"), ["must not have leading 0s"]);
        assert_eq!(wrong(ip, "::ffff:1.2.3.4"), ["must not be an IPv4-mapped IPv6 address"]);
        assert_eq!(wrong(ip, "1.2.3"), [BAD_IP]);
        assert_eq!(wrong(canonical_ip, "FD00::1"), ["must be in canonical form (\"fd00::1\")"]);
        assert!(wrong(cidr, "10.0.0.0/8").is_empty());
        assert_eq!(wrong(cidr, "10.0.0.1/8"), ["must not have bits set beyond the prefix length"]);
        assert_eq!(wrong(cidr, "10.0.0.0/08"), ["must not have leading 0s in IP or prefix length"]);
        assert_eq!(wrong(canonical_cidr, "FD00::/8"), ["must be in canonical form (\"fd00::/8\")"]);
        assert!(wrong(interface_address, "10.0.0.1/8").is_empty());
        assert_eq!(
            wrong(interface_address, "::ffff:10.0.0.1/120"),
            ["must be in canonical form (\"10.0.0.1/24\")"]
        );
        assert_eq!(wrong(interface_address, "10.0.0.1").len(), 1);
    }

    #[test]
    fn a_network_contains_its_addresses() {
        let ip = |text| parse_ip(text).expect("an address");
        assert!(contains((ip("10.0.0.0"), 8), ip("10.200.1.1")));
        assert!(!contains((ip("10.0.0.0"), 8), ip("11.0.0.1")));
        assert!(contains((ip("0.0.0.0"), 0), ip("11.0.0.1")));
        assert!(!contains((ip("0.0.0.0"), 0), ip("::1")));
    }
}
