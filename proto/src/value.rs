//! `Value`: what a WAMP payload or details dictionary can hold, whatever serializer carried it.
//!
//! Owns the serde bridge and the WAMP convention for bytes in JSON: a byte string travels as a text string
//! that starts with U+0000, followed by its standard Base64 (WAMP specification, "Binary Conversion of JSON
//! Strings"). Whether that convention applies is decided by the serializer's `is_human_readable`. Must not know
//! messages or transports.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::MAX_ID;

/// How deep lists and dictionaries may nest, the message's own list included. Real payloads nest less than ten
/// deep; a bound keeps recursion off the end of a 2 MiB stack.
pub const MAX_DEPTH: usize = 64;

/// How many values one message may hold: more than people's programs send, and less than keeps a router busy.
pub const MAX_VALUES: usize = 1 << 20;

/// How many values the options or details of one message may hold, where a dictionary counts as 24: a small one takes
/// that much memory. Lists of sessions that an event is for are the longest that there are.
pub const MAX_OPTION_VALUES: usize = 1 << 12;

/// How many values of a payload are read into memory, counted in the same way: about 6 MB. A byte of MessagePack can
/// become 24 in memory, and a small dictionary 600.
pub const MAX_PAYLOAD_VALUES: usize = 1 << 18;

/// A WAMP dictionary. Sorted, so that encoding is the same each time.
pub type Dict = BTreeMap<String, Value>;

/// One value of a payload or a details dictionary.
///
/// Integers are kept in one form: `Int` for all that fit an `i64`, `Uint` only above that. Build them by
/// `Value::from`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer that fits `i64`.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A floating-point number. JSON has none for NaN and the infinities: they become null there.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary.
    Map(Dict),
}

impl Value {
    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    /// The number, if this is an integer of 0 or more.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::Uint(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, if this is an id that a client was told before. Where ids lie in options and arguments, JavaScript
    /// clients repeat those beyond 32 bits as floats (cbor-x, msgpackr).
    pub fn as_id(&self) -> Option<u64> {
        match self {
            Self::Float(number) if number.fract() == 0.0 && (1.0..=MAX_ID as f64).contains(number) => {
                Some(*number as u64)
            }
            other => other.as_u64(),
        }
    }

    /// The dictionary, if this is one.
    pub fn as_map(&self) -> Option<&Dict> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The list, if this is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// What kind of value this is, in a word for messages to people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Uint(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a dictionary",
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Uint(number), Self::Int)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Self {
        Self::List(list)
    }
}

impl From<Dict> for Value {
    fn from(map: Dict) -> Self {
        Self::Map(map)
    }
}

/// The bytes that a text of JSON stands for. Text that starts with U+0000 but is no Base64 is nobody's bytes: it stays
/// text.
pub(crate) fn bytes_in_json(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.strip_prefix('\0')?).ok()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Uint(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) if serializer.is_human_readable() => {
                serializer.serialize_str(&format!("\0{}", BASE64.encode(bytes)))
            }
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for item in list {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Map(map) => {
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    entries.serialize_entry(key, value)?;
                }
                entries.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = Cell::new(MAX_VALUES);
        Seed { depth: 0, left: &left }.deserialize(deserializer)
    }
}

/// Decodes one value at a known depth, with what is left of the message's budget of values.
#[derive(Clone, Copy)]
struct Seed<'a> {
    depth: usize,
    left: &'a Cell<usize>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("lists and dictionaries nest deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get();
        if left == 0 {
            return Err(D::Error::custom(format_args!("more than {MAX_VALUES} values in one message")));
        }
        self.left.set(left - 1);
        let json = deserializer.is_human_readable();
        deserializer.deserialize_any(ValueVisitor { seed: self, json })
    }
}

struct ValueVisitor<'a> {
    seed: Seed<'a>,
    /// The serializer has no bytes of its own, so text may stand for them.
    json: bool,
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("null, a boolean, a number, a string, bytes, a list or a dictionary with string keys")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// An extension type of MessagePack. JavaScript clients send one for `undefined`, in options that they leave out;
    /// the others have no meaning in WAMP.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match <(i8, serde_bytes::ByteBuf)>::deserialize(deserializer)? {
            (0, content) if *content == [0] => Ok(Value::Null),
            (kind, _) => Err(D::Error::custom(format_args!("extension type {kind} has no meaning in WAMP"))),
        }
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        let bytes = if self.json { bytes_in_json(text) } else { None };
        Ok(bytes.map_or_else(|| Value::from(text), Value::Bytes))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let seed = self.seed.deeper()?;
        // The claimed length is not trusted: memory grows only with values that are really there.
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(seed)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let seed = self.seed.deeper()?;
        let mut map = Dict::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(seed)?);
        }
        Ok(Value::Map(map))
    }
}
