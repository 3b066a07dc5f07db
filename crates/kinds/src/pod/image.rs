//! References of images, as far as a default goes by them: `ParseNormalizedNamed` of distribution's `reference`.

/// What follows an image's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

/// None for what is no reference.
pub(super) fn parse(image: &str) -> Option<Reference<'_>> {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if image.len() == 64 && is_hex(image) {
        return None;
    }
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return None;
    }
    let (domain, rest) = split_domain(named);
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    // What is left out of a name counts for its length.
    let left_out = match (domain, path.contains('/')) {
        (Some(_), _) => 0,
        (None, true) => "docker.io/".len(),
        (None, false) => "docker.io/library/".len(),
    };
    let length = left_out + named.len() - tag.map_or(0, |tag| tag.len() + 1);
    let fits = domain.is_none_or(is_domain)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && length <= 255;
    fits.then_some(Reference { tag, digest })
}

/// The registry that an image's name begins with.
fn split_domain(named: &str) -> (Option<&str>, &str) {
    match named.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, named),
    }
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().into_iter().chain(bytes.last());
        !part.is_empty()
            && ends.into_iter().all(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let is_address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inner| {
        inner.contains(':') && inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
    });
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_address || host.split('.').all(is_part)) && port.is_none_or(is_port)
}

/// Lower case letters and digits with `.`, `_`, `__` or any number of `-` between them.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = component.split(|letter: char| letter.is_ascii() && is_word(letter as u8));
    let ends = [component.bytes().next(), component.bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(is_word))
        && separators
            .filter(|between| !between.is_empty())
            .all(|between| matches!(between, "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_what_is_none() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let with_digest = format!("h:5000/a/b:1@{digest}");
        for (image, tag) in [
            ("nginx", None),
            ("nginx:1.2", Some("1.2")),
            ("a/b__c/d--e:latest", Some("latest")),
            ("localhost/x", None),
            ("Example.com:5000/x:T_1", Some("T_1")),
            ("[fd00::1]:5000/x", None),
            (with_digest.as_str(), Some("1")),
        ] {
            assert_eq!(parse(image).map(|found| found.tag), Some(tag), "{image}");
        }
        assert_eq!(parse(&with_digest).unwrap().digest, Some(&*digest));
        let hex = "0".repeat(64);
        for image in
            ["", "UDP", "*", "a b", "a..b", "a___b", "a/", "/a", "a:", "a:-x", "a@sha256:0", "x@", &hex]
        {
            assert_eq!(parse(image), None, "{image}");
        }
    }
}
