//! How a transport marks where a message begins and ends: the client's side of WebSocket and of RawSocket, without I/O.

use std::ops::Range;

use anyhow::{Result, bail, ensure};

/// A transport of WAMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// WebSocket; messages are text frames or binary ones.
    WebSocket {
        /// Text frames.
        text: bool,
    },
    /// RawSocket.
    RawSocket,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It carries a message.
    Message,
    /// It wants a [`Kind::Pong`] with the same content.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The router ends the connection.
    Close,
}

/// A frame at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// Where its content is.
    pub content: Range<usize>,
}

/// Clients must mask; any key does, and this one is really applied by both sides.
const MASK: u32 = 0x5ae1_37c9;

impl Framing {
    /// The frame that `bytes` begin with; none if it has not all come.
    ///
    /// # Errors
    /// It is none that a router may send, or one that it never needs to.
    pub fn read(self, bytes: &[u8]) -> Result<Option<Frame>> {
        let (kind, header, length) = match self {
            Self::RawSocket => {
                let Some(&[first, high, middle, low]) = bytes.first_chunk() else { return Ok(None) };
                let kind = match first {
                    0 => Kind::Message,
                    1 => Kind::Ping,
                    2 => Kind::Pong,
                    unknown => bail!("{unknown} is no type of a RawSocket frame"),
                };
                (kind, 4, u32::from_be_bytes([0, high, middle, low]) as usize)
            }
            Self::WebSocket { .. } => {
                let Some(&[first, second]) = bytes.first_chunk() else { return Ok(None) };
                ensure!(first & 0xf0 == 0x80, "a message in several frames, or one with extensions");
                ensure!(second & 0x80 == 0, "the router masks its frames");
                let kind = match first & 15 {
                    1 | 2 => Kind::Message,
                    8 => Kind::Close,
                    9 => Kind::Ping,
                    10 => Kind::Pong,
                    unknown => bail!("{unknown} is no type of a WebSocket frame"),
                };
                let wide = match second {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                };
                let Some(length) = bytes.get(2..2 + wide) else { return Ok(None) };
                let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                (kind, 2 + wide, if wide == 0 { usize::from(second) } else { length })
            }
        };
        let content = header..header.saturating_add(length);
        Ok((bytes.len() >= content.end).then_some(Frame { kind, content }))
    }

    /// Adds a frame to `out`.
    pub fn write(self, kind: Kind, content: &[u8], out: &mut Vec<u8>) {
        let length = content.len();
        match self {
            Self::RawSocket => {
                let [_, high, middle, low] = (length as u32).to_be_bytes();
                let kind = match kind {
                    Kind::Ping => 1,
                    Kind::Pong => 2,
                    Kind::Message | Kind::Close => 0,
                };
                out.extend([kind, high, middle, low]);
                out.extend_from_slice(content);
            }
            Self::WebSocket { text } => {
                let kind = match kind {
                    Kind::Message => 2 - u8::from(text),
                    Kind::Close => 8,
                    Kind::Ping => 9,
                    Kind::Pong => 10,
                };
                out.push(0x80 | kind);
                match length {
                    0..126 => out.push(0x80 | length as u8),
                    126..=0xffff => {
                        out.push(0x80 | 126);
                        out.extend((length as u16).to_be_bytes());
                    }
                    _ => {
                        out.push(0x80 | 127);
                        out.extend((length as u64).to_be_bytes());
                    }
                }
                out.extend(MASK.to_le_bytes());
                let begin = out.len();
                out.extend_from_slice(content);
                mask(&mut out[begin..]);
            }
        }
    }
}

fn mask(bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_le_bytes(*word) ^ MASK).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(MASK.to_le_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths go to the wire in three forms of WebSocket; what a router would read there must be what was meant.
    #[test]
    fn frames_have_their_length_and_content() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let content: Vec<u8> = (0..length).map(|at| at as u8).collect();
            for framing in [Framing::RawSocket, Framing::WebSocket { text: true }] {
                let mut bytes = Vec::new();
                framing.write(Kind::Message, &content, &mut bytes);
                if framing != Framing::RawSocket {
                    // As the router would send it.
                    let key = bytes.len() - length - 4;
                    mask(&mut bytes[key + 4..]);
                    bytes.drain(key..key + 4);
                    bytes[1] &= 0x7f;
                }
                assert_eq!(framing.read(&bytes[..bytes.len() - 1]).unwrap(), None);
                bytes.push(0);
                let frame = framing.read(&bytes).unwrap().unwrap();
                assert_eq!(frame.kind, Kind::Message);
                assert_eq!(bytes[frame.content], content);
            }
        }
    }
}
