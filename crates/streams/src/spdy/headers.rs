//! Header blocks: names and values, compressed in one stream per direction of a connection.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::SpdyError;
use super::dictionary::dictionary;

/// What a header block may unpack to.
const LARGEST_BLOCK: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;

/// Names in small letters, and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn new(headers: &[(&str, &str)]) -> Self {
        Self(headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect())
    }

    /// The first value of `name`, which is given in small letters; "" when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
    }
}

/// Packs the blocks that are sent.
pub(crate) struct Packer(Compress);

impl Packer {
    pub(crate) fn new() -> Result<Self, SpdyError> {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(dictionary()).map_err(|_| SpdyError::Headers)?;
        Ok(Self(compress))
    }

    pub(crate) fn pack(&mut self, headers: &Headers) -> Result<Vec<u8>, SpdyError> {
        let mut plain = Vec::new();
        put_length(&mut plain, headers.0.len());
        for (name, value) in &headers.0 {
            for text in [name, value] {
                put_length(&mut plain, text.len());
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut out = Vec::with_capacity(plain.len() + 64);
        let end = self.0.total_in() + plain.len() as u64;
        loop {
            let done = usize::try_from(plain.len() as u64 - (end - self.0.total_in())).unwrap_or(0);
            let before = out.len();
            let packed = self.0.compress_vec(&plain[done..], &mut out, FlushCompress::Sync);
            packed.map_err(|_| SpdyError::Headers)?;
            // A flush is complete when it leaves room.
            if self.0.total_in() == end && out.len() < out.capacity() {
                return Ok(out);
            }
            if out.len() == before && out.len() < out.capacity() {
                return Err(SpdyError::Headers);
            }
            out.reserve(1024);
        }
    }
}

/// Unpacks the blocks that come in.
pub(crate) struct Unpacker(Decompress);

impl Unpacker {
    pub(crate) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// # Errors
    /// When the block is damaged, or larger than it may be.
    pub(crate) fn unpack(&mut self, packed: &[u8]) -> Result<Headers, SpdyError> {
        parse(&self.inflate(packed)?)
    }

    fn inflate(&mut self, packed: &[u8]) -> Result<Vec<u8>, SpdyError> {
        let start = self.0.total_in();
        let mut out = Vec::with_capacity(1024);
        loop {
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            let rest = packed.get(done..).unwrap_or_default();
            let (in_before, out_before) = (self.0.total_in(), out.len());
            match self.0.decompress_vec(rest, &mut out, FlushDecompress::Sync) {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(dictionary()).map_err(|_| SpdyError::Headers)?;
                    continue;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(SpdyError::Headers),
                Ok(Status::Ok | Status::BufError) => {}
            }
            let all_in = self.0.total_in() - start == packed.len() as u64;
            if all_in && out.len() < out.capacity() {
                return Ok(out);
            }
            let stuck = self.0.total_in() == in_before && out.len() == out_before;
            if out.len() > LARGEST_BLOCK || (stuck && out.len() < out.capacity()) {
                return Err(SpdyError::Headers);
            }
            out.reserve(4096);
        }
    }
}

fn parse(mut block: &[u8]) -> Result<Headers, SpdyError> {
    let count = take_length(&mut block)?;
    if count > MOST_HEADERS {
        return Err(SpdyError::Headers);
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = take_text(&mut block)?.to_ascii_lowercase();
        let values = take_text(&mut block)?;
        // Several values of one name are separated by NUL.
        headers.extend(values.split('\0').map(|value| (name.clone(), value.to_owned())));
    }
    Ok(Headers(headers))
}

fn take_text(block: &mut &[u8]) -> Result<String, SpdyError> {
    let length = take_length(block)?;
    let (text, rest) = block.split_at_checked(length).ok_or(SpdyError::Headers)?;
    *block = rest;
    String::from_utf8(text.to_vec()).map_err(|_| SpdyError::Headers)
}

fn take_length(block: &mut &[u8]) -> Result<usize, SpdyError> {
    let (length, rest) = block.split_first_chunk::<4>().ok_or(SpdyError::Headers)?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SpdyError::Headers)
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_connection_share_a_compression() {
        let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::new());
        let first = Headers::new(&[("streamType", "error"), ("port", "8080"), ("requestID", "0")]);
        let second = Headers::new(&[("streamType", "data"), ("port", "8080"), ("requestID", "0")]);
        let (one, other) = (packer.pack(&first).unwrap(), packer.pack(&second).unwrap());
        // The identifier of SPDY/3's dictionary, as every implementation announces it.
        assert_eq!(one[2..6], 0xe3c6_a7c2_u32.to_be_bytes());
        assert!(other.len() < one.len());
        assert_eq!(unpacker.unpack(&one).unwrap(), first);
        assert_eq!(unpacker.unpack(&other).unwrap(), second);
        assert_eq!(second.get("streamtype"), "data");
        assert!(unpacker.unpack(b"nonsense").is_err());
    }

    #[test]
    fn a_block_that_unpacks_to_too_much_is_refused() {
        let large = "x".repeat(200_000);
        let packed = Packer::new().unwrap().pack(&Headers::new(&[("a", &large)])).unwrap();
        assert!(packed.len() < 4096);
        assert!(Unpacker::new().unpack(&packed).is_err());
    }
}
