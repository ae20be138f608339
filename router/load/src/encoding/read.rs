//! Reading: a cursor that takes one element after the other. None means that the bytes are not what was asked for.

use memchr::memchr2;

use super::Encoding;

/// Goes over one message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    encoding: Encoding,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the beginning of a message.
    pub fn new(encoding: Encoding, bytes: &'a [u8]) -> Self {
        Self { encoding, rest: bytes }
    }

    /// Goes into a list.
    pub fn list(&mut self) -> Option<()> {
        match self.encoding {
            Encoding::Json => (self.json_byte()? == b'[').then_some(()),
            Encoding::Cbor => (self.cbor()?.0 == 4).then_some(()),
            Encoding::MsgPack => match self.byte()? {
                0x90..=0x9f => Some(()),
                0xdc => self.wide(2).map(drop),
                0xdd => self.wide(4).map(drop),
                _ => None,
            },
        }
    }

    /// Takes a whole number.
    pub fn number(&mut self) -> Option<u64> {
        match self.encoding {
            Encoding::Json => {
                let mut number = u64::from(self.json_byte()?.checked_sub(b'0').filter(|digit| *digit < 10)?);
                while let Some(digit @ b'0'..=b'9') = self.rest.first() {
                    number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
                    self.rest = &self.rest[1..];
                }
                Some(number)
            }
            Encoding::Cbor => self.cbor().filter(|(major, _)| *major == 0).map(|(_, number)| number),
            Encoding::MsgPack => match self.byte()? {
                small @ 0..=0x7f => Some(u64::from(small)),
                kind @ 0xcc..=0xcf => self.wide(1 << (kind - 0xcc)),
                _ => None,
            },
        }
    }

    /// Takes text. In JSON as it stands there, with its escapes.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        match self.encoding {
            Encoding::Json => match self.json_byte()? {
                b'"' => self.json_text(),
                _ => None,
            },
            Encoding::Cbor => {
                let (major, length) = self.cbor()?;
                if major == 3 { self.take(length) } else { None }
            }
            Encoding::MsgPack => {
                let length = match self.byte()? {
                    short @ 0xa0..=0xbf => u64::from(short & 0x1f),
                    kind @ 0xd9..=0xdb => self.wide(1 << (kind - 0xd9))?,
                    _ => return None,
                };
                self.take(length)
            }
        }
    }

    /// Passes one element, whatever it is.
    pub fn skip(&mut self) -> Option<()> {
        match self.encoding {
            Encoding::Json => self.skip_json(),
            Encoding::MsgPack => self.skip_msgpack(),
            Encoding::Cbor => self.skip_cbor(),
        }
    }

    fn skip_json(&mut self) -> Option<()> {
        match self.json_byte()? {
            b'"' => self.json_text().map(drop),
            b'[' | b'{' => {
                // Brackets in a message that a router wrote match; only the depth counts.
                let mut depth = 1_u32;
                while depth > 0 {
                    match self.json_byte()? {
                        b'"' => drop(self.json_text()?),
                        b'[' | b'{' => depth += 1,
                        b']' | b'}' => depth -= 1,
                        _ => {}
                    }
                }
                Some(())
            }
            _ => {
                let end = self.rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}'))?;
                self.rest = &self.rest[end..];
                Some(())
            }
        }
    }

    fn skip_msgpack(&mut self) -> Option<()> {
        let mut elements = 1_u64;
        while elements > 0 {
            elements -= 1;
            let bytes = match self.byte()? {
                0..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
                map @ 0x80..=0x8f => {
                    elements += 2 * u64::from(map & 15);
                    0
                }
                list @ 0x90..=0x9f => {
                    elements += u64::from(list & 15);
                    0
                }
                text @ 0xa0..=0xbf => u64::from(text & 31),
                bytes @ 0xc4..=0xc6 => self.wide(1 << (bytes - 0xc4))?,
                float @ (0xca | 0xcb) => 4 << (float - 0xca),
                number @ 0xcc..=0xcf => 1 << (number - 0xcc),
                number @ 0xd0..=0xd3 => 1 << (number - 0xd0),
                text @ 0xd9..=0xdb => self.wide(1 << (text - 0xd9))?,
                list @ (0xdc | 0xdd) => {
                    elements += self.wide(2 << (list - 0xdc))?;
                    0
                }
                map @ (0xde | 0xdf) => {
                    elements += 2 * self.wide(2 << (map - 0xde))?;
                    0
                }
                // Extensions: no router sends them.
                _ => return None,
            };
            self.take(bytes)?;
        }
        Some(())
    }

    fn skip_cbor(&mut self) -> Option<()> {
        let mut elements = 1_u64;
        while elements > 0 {
            elements -= 1;
            match self.cbor()? {
                (2 | 3, length) => drop(self.take(length)?),
                (4, count) => elements += count,
                (5, count) => elements += 2 * count,
                (6, _) => elements += 1,
                _ => {}
            }
        }
        Some(())
    }

    /// The kind of the next CBOR element and its number. Lengths that are told only at the end are not understood; no
    /// router sends them.
    fn cbor(&mut self) -> Option<(u8, u64)> {
        let first = self.byte()?;
        let number = match first & 31 {
            small @ 0..24 => u64::from(small),
            wide @ 24..28 => self.wide(1 << (wide - 24))?,
            _ => return None,
        };
        Some((first >> 5, number))
    }

    /// The next byte that is neither white space nor between two elements.
    fn json_byte(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !matches!(byte, b' ' | b',' | b':' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    /// Up to the quotation mark that ends the text.
    fn json_text(&mut self) -> Option<&'a [u8]> {
        let (mut end, all) = (0, self.rest);
        loop {
            end += memchr2(b'"', b'\\', all.get(end..)?)?;
            if all[end] == b'"' {
                self.rest = &all[end + 1..];
                return Some(&all[..end]);
            }
            end += 2;
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number of so many bytes, the highest first.
    fn wide(&mut self, bytes: u64) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}
