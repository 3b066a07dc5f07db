//! Base64 as Go's `encoding/base64.StdEncoding` reads and writes it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where the text stops being base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct Base64Error(pub usize);

/// The bytes that `text` stands for. Line breaks are ignored, padding is required.
///
/// # Errors
/// With the offset that Go reports.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    walk(text, |quad, len| out.extend_from_slice(&quad[..len]))?;
    Ok(out)
}

/// Standard base64 with padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (i, b)| word | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

/// The form that Go writes back; None when `text` is it.
pub(super) fn canonical(text: &str) -> Result<Option<String>, Base64Error> {
    let mut last = ([0; 3], 3);
    walk(text, |quad, len| last = (quad, len))?;
    let breaks = text.contains(['\n', '\r']);
    // Only the bits of the last group that no byte needs can be other than Go's.
    let clean = !breaks && {
        let tail = encode(&last.0[..last.1]);
        text.is_empty() || text.ends_with(&tail)
    };
    if clean { Ok(None) } else { decode(text).map(|bytes| Some(encode(&bytes))) }
}

/// Calls `each` with the up to three bytes of every group of four characters.
fn walk(text: &str, mut each: impl FnMut([u8; 3], usize)) -> Result<(), Base64Error> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let mut word = 0u32;
        let mut filled = 0;
        while filled < 4 {
            let Some(&c) = bytes.get(at) else {
                return if filled == 0 { Ok(()) } else { Err(Base64Error(at - filled)) };
            };
            at += 1;
            if c == b'\n' || c == b'\r' {
                continue;
            }
            match sextet(c) {
                Some(bits) => {
                    word |= bits << (18 - 6 * filled);
                    filled += 1;
                }
                None if c == b'=' => return padding(bytes, at, filled, word, &mut each),
                None => return Err(Base64Error(at - 1)),
            }
        }
        let [_, a, b, c] = word.to_be_bytes();
        each([a, b, c], 3);
    }
}

/// The end of the text, from after its first `=`.
fn padding(
    bytes: &[u8],
    mut at: usize,
    filled: usize,
    word: u32,
    each: &mut impl FnMut([u8; 3], usize),
) -> Result<(), Base64Error> {
    let skip = |mut at: usize| {
        while matches!(bytes.get(at), Some(b'\n' | b'\r')) {
            at += 1;
        }
        at
    };
    match filled {
        0 | 1 => return Err(Base64Error(at - 1)),
        2 => {
            at = skip(at);
            match bytes.get(at) {
                None => return Err(Base64Error(bytes.len())),
                Some(b'=') => at += 1,
                Some(_) => return Err(Base64Error(at)),
            }
        }
        _ => {}
    }
    at = skip(at);
    if at < bytes.len() {
        return Err(Base64Error(at));
    }
    let [_, a, b, c] = word.to_be_bytes();
    each([a, b, c], filled - 1);
    Ok(())
}

fn sextet(c: u8) -> Option<u32> {
    let bits = match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(bits.into())
}
