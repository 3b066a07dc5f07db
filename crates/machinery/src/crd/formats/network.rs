//! Addresses, names and URIs.

use std::net::Ipv6Addr;

/// Four decimal numbers, leading zeros allowed; or an IPv6 address that ends so.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && (is_dotted_quad(text) || text.parse::<Ipv6Addr>().is_ok())
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let max = if is_dotted_quad(address) {
        32
    } else if is_ipv6(address) {
        128
    } else {
        return false;
    };
    !length.is_empty()
        && length.bytes().all(|b| b.is_ascii_digit())
        && length.parse::<u32>().is_ok_and(|length| length <= max)
}

fn is_dotted_quad(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|number| number <= 255)
    };
    text.split('.').count() == 4 && text.split('.').all(number)
}

/// Six, eight or twenty octets: pairs with `:` or `-`, or quadruples with `.`.
pub(super) fn is_mac(text: &str) -> bool {
    let octets = |separator: char, digits: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        let ok = parts.iter().all(|part| part.len() == digits && super::is_hex(part));
        if ok { parts.len() * digits / 2 } else { 0 }
    };
    [octets(':', 2), octets('-', 2), octets('.', 4)].into_iter().any(|octets| matches!(octets, 6 | 8 | 20))
}

/// Labels of letters, digits and symbols; what `strfmt` allows beyond RFC 1123 are letters of all scripts.
pub(super) fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphabetic() || c.is_ascii_digit() || c == '-')
    };
    let labels: Vec<&str> = text.split('.').collect();
    let top_level = |top: &str| labels.len() == 1 || top.len() >= 2 && top.chars().all(char::is_alphabetic);
    text.len() <= 255 && labels.iter().all(|l| label(l)) && labels.last().is_some_and(|top| top_level(top))
}

/// RFC 5322, as far as people write it: `a@b`, or a name and `<a@b>`.
pub(super) fn is_email(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>') {
        Some(rest) => match rest.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text.trim(),
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || is_dot_atom(local)) && (literal || is_dot_atom(domain))
}

fn is_dot_atom(text: &str) -> bool {
    let atom = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

/// `url.ParseRequestURI`: a scheme and what it says, or an absolute path.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    if text.is_empty() || text.chars().any(|c| c.is_ascii_control()) {
        return false;
    }
    let (scheme, rest) = match split_scheme(text) {
        Ok(split) => split,
        Err(()) => return false,
    };
    let Some(rest) = rest.strip_prefix('/') else { return !scheme.is_empty() && !rest.is_empty() };
    let (authority, path) = match rest.strip_prefix('/') {
        Some(after) if !scheme.is_empty() => after.split_at(after.find(['/', '?']).unwrap_or(after.len())),
        _ => ("", rest),
    };
    is_authority(authority) && has_valid_escapes(path.split('?').next().unwrap_or(""))
}

fn split_scheme(text: &str) -> Result<(&str, &str), ()> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return Err(()),
            ':' => return Ok((&text[..i], &text[i + 1..])),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

fn is_authority(text: &str) -> bool {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let port = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, port)) => port,
            None => return false,
        },
        None => host.rfind(':').map_or("", |colon| &host[colon..]),
    };
    let port_ok = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    port_ok && has_valid_escapes(host) && !host.contains([' ', '<', '>', '"', '\\', '^', '`', '{', '|', '}'])
}

fn has_valid_escapes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.is_char_boundary(2) && super::is_hex(&after[..2]))
}
