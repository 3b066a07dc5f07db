//! Frames, from and to bytes.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::SpdyError;

/// The longest control frame that is taken.
const LONGEST_CONTROL: usize = 16 * 1024;
const VERSION: u16 = 3;
pub(crate) const FLAG_FIN: u8 = 1;
pub(crate) const FLAG_UNIDIRECTIONAL: u8 = 2;

/// `RST_STREAM` and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    Protocol = 1,
    Refused = 3,
    Cancel = 5,
}

/// What the head of a frame says; of data, the payload is still to be read.
#[derive(Debug)]
pub(crate) enum Frame {
    SynStream {
        id: u32,
        flags: u8,
        block: Bytes,
    },
    SynReply {
        id: u32,
        flags: u8,
        block: Bytes,
    },
    Reset {
        id: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    Headers {
        id: u32,
        flags: u8,
        block: Bytes,
    },
    Data {
        id: u32,
        flags: u8,
        length: usize,
    },
    /// Settings, windows and what is not known: clients of Kubernetes heed none of it.
    Other,
}

/// None at the end of the connection.
///
/// # Errors
/// When the connection breaks or what comes is no SPDY.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, SpdyError> {
    let mut head = [0; 8];
    match from.read(&mut head).await? {
        0 => return Ok(None),
        8 => {}
        some => {
            from.read_exact(&mut head[some..]).await?;
        }
    }
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let (flags, length) = (head[4], u32::from_be_bytes([0, head[5], head[6], head[7]]));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if first >> 31 == 0 {
        return Ok(Some(Frame::Data { id: first, flags, length }));
    }
    if (first >> 16) & 0x7fff != u32::from(VERSION) || length > LONGEST_CONTROL {
        return Err(SpdyError::Frame);
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    control(first & 0xffff, flags, &payload).map(Some)
}

fn control(kind: u32, flags: u8, payload: &[u8]) -> Result<Frame, SpdyError> {
    let number =
        || payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(SpdyError::Frame);
    let id = || number().map(|number| number & 0x7fff_ffff);
    let block = |at: usize| payload.get(at..).map(Bytes::copy_from_slice).ok_or(SpdyError::Frame);
    Ok(match kind {
        1 => Frame::SynStream { id: id()?, flags, block: block(10)? },
        2 => Frame::SynReply { id: id()?, flags, block: block(4)? },
        3 => Frame::Reset { id: id()? },
        6 => Frame::Ping { id: number()? },
        7 => Frame::GoAway,
        8 => Frame::Headers { id: id()?, flags, block: block(4)? },
        _ => Frame::Other,
    })
}

fn put_control(out: &mut BytesMut, kind: u16, flags: u8, length: usize) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | u32::try_from(length).unwrap_or(0) & 0xff_ffff);
}

#[cfg(test)]
pub(crate) fn put_syn_stream(out: &mut BytesMut, id: u32, block: &[u8]) {
    put_control(out, 1, 0, block.len() + 10);
    out.put_u32(id);
    out.put_u32(0);
    out.put_u16(0);
    out.put_slice(block);
}

pub(crate) fn put_syn_reply(out: &mut BytesMut, id: u32, block: &[u8]) {
    put_control(out, 2, 0, block.len() + 4);
    out.put_u32(id);
    out.put_slice(block);
}

pub(crate) fn put_reset(out: &mut BytesMut, id: u32, why: Reset) {
    put_control(out, 3, 0, 8);
    out.put_u32(id);
    out.put_u32(why as u32);
}

pub(crate) fn put_ping(out: &mut BytesMut, id: u32) {
    put_control(out, 6, 0, 4);
    out.put_u32(id);
}

pub(crate) fn put_go_away(out: &mut BytesMut, last: u32) {
    put_control(out, 7, 0, 8);
    out.put_u32(last);
    out.put_u32(0);
}

pub(crate) fn put_data(out: &mut BytesMut, id: u32, fin: bool, data: &[u8]) {
    let flags = if fin { FLAG_FIN } else { 0 };
    out.put_u32(id);
    out.put_u32(u32::from(flags) << 24 | u32::try_from(data.len()).unwrap_or(0) & 0xff_ffff);
    out.put_slice(data);
}
