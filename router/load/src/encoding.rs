//! Writes and reads the few elements that WAMP messages are made of, in each serializer. A second implementation on
//! purpose, and a fast one: nothing is built from what is read.

mod read;
mod write;

use clap::ValueEnum;
use serde::Serialize;

pub use read::Reader;
pub use write::Writer;

/// A serializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// JSON.
    Json,
    /// MessagePack.
    #[value(name = "msgpack")]
    MsgPack,
    /// CBOR.
    Cbor,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::MsgPack, Self::Cbor];

    /// The name of the WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::MsgPack => "wamp.2.msgpack",
            Self::Cbor => "wamp.2.cbor",
        }
    }

    /// The number in RawSocket's handshake.
    pub const fn rawsocket_id(self) -> u8 {
        match self {
            Self::Json => 1,
            Self::MsgPack => 2,
            Self::Cbor => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every width of number and text that a router can send must be read as what it is, and skipped as a whole.
    #[test]
    fn what_is_written_is_read() {
        for encoding in Encoding::ALL {
            for number in
                [0, 1, 23, 24, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 33, 1 << 53]
            {
                for length in [0, 1, 23, 24, 31, 32, 255, 256, 65_535, 65_536] {
                    let text = vec![b'x'; length];
                    let mut bytes = Vec::new();
                    let mut writer = Writer::new(encoding, &mut bytes);
                    writer.list(4);
                    writer.number(number);
                    writer.map(2);
                    writer.key("a");
                    writer.map(0);
                    writer.end_map();
                    writer.key("b");
                    writer.flag(true);
                    writer.end_map();
                    writer.list(1);
                    writer.text(&text);
                    writer.end_list();
                    writer.number(7);
                    writer.end_list();
                    let mut reader = Reader::new(encoding, &bytes);
                    reader.list().unwrap();
                    assert_eq!(reader.number().unwrap(), number, "{encoding:?}");
                    reader.skip().unwrap();
                    let mut skipped = reader;
                    reader.list().unwrap();
                    assert_eq!(reader.text().unwrap(), text, "{encoding:?}");
                    skipped.skip().unwrap();
                    assert_eq!(skipped.number().unwrap(), 7, "{encoding:?}");
                }
            }
        }
    }

    /// Routers put spaces, signs, fractions and escapes where they please.
    #[test]
    fn foreign_json_is_skipped() {
        let text = br#"[ 50 , {"a\"]":[-1.5e3,null,{"b":[]}], "c":"\\"} , 9]"#;
        let mut reader = Reader::new(Encoding::Json, text);
        reader.list().unwrap();
        assert_eq!(reader.number().unwrap(), 50);
        reader.skip().unwrap();
        assert_eq!(reader.number().unwrap(), 9);
    }
}
