//! The arguments of a call, result, error or event.
//!
//! Opaque on purpose: whoever routes a payload has no business inside it. What came in a frame stays the part of the
//! frame that it is, and goes on as it came; it is read into values only if somebody asks. Cloning is cheap, so that
//! one payload can go to many.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::codec::Serializer;
use crate::codec::sink::{Tree, feed_list, feed_map};
use crate::codec::write::{Write, transcode, walk};
use crate::value::{Dict, MAX_PAYLOAD_VALUES, Value};

/// Positional and keyword arguments.
#[derive(Clone, Default)]
pub struct Payload(Option<Arc<Arguments>>);

enum Arguments {
    Built(Values),
    Received(Received),
}

#[derive(Clone, Default)]
struct Values {
    args: Vec<Value>,
    kwargs: Dict,
    /// There was more than may be read into memory.
    too_complex: bool,
}

/// As it came.
struct Received {
    serializer: Serializer,
    frame: Bytes,
    /// Where the positional arguments are in the frame; nowhere if there are none.
    args: Range<usize>,
    /// The same of the keyword arguments.
    kwargs: Range<usize>,
    values: OnceLock<Box<Values>>,
}

impl Payload {
    /// These arguments. Empty lists and dictionaries are the same as none.
    pub fn new(args: Vec<Value>, kwargs: Dict) -> Self {
        if args.is_empty() && kwargs.is_empty() {
            return Self(None);
        }
        Self(Some(Arc::new(Arguments::Built(Values { args, kwargs, too_complex: false }))))
    }

    /// One positional argument.
    pub fn of(arg: impl Into<Value>) -> Self {
        Self::new(vec![arg.into()], Dict::new())
    }

    /// What a frame carries, in two parts that have been checked.
    pub(crate) fn received(
        serializer: Serializer,
        frame: &Bytes,
        args: Range<usize>,
        kwargs: Range<usize>,
    ) -> Self {
        if args.is_empty() && kwargs.is_empty() {
            return Self(None);
        }
        let values = OnceLock::new();
        let received = Received { serializer, frame: frame.clone(), args, kwargs, values };
        Self(Some(Arc::new(Arguments::Received(received))))
    }

    /// The positional arguments.
    pub fn args(&self) -> &[Value] {
        self.values().map_or(&[], |values| &values.args)
    }

    /// The keyword arguments; none if there are no arguments at all.
    pub fn kwargs(&self) -> Option<&Dict> {
        self.values().map(|values| &values.kwargs)
    }

    /// Both, taken out.
    pub fn into_parts(self) -> (Vec<Value>, Dict) {
        let values = match self.0.map(Arc::try_unwrap) {
            None => Values::default(),
            Some(Ok(Arguments::Built(values))) => values,
            Some(Ok(Arguments::Received(mut received))) => {
                received.values.take().map_or_else(|| received.read(), |values| *values)
            }
            Some(Err(shared)) => shared.values().clone(),
        };
        (values.args, values.kwargs)
    }

    /// Whether this is more than is read into memory ([`MAX_PAYLOAD_VALUES`]): it can be passed on, but seems to have
    /// no arguments to whoever asks for them.
    pub fn is_too_complex(&self) -> bool {
        self.values().is_some_and(|values| values.too_complex)
    }

    /// How many bytes of a frame it holds on to; none if it was made of values.
    pub fn frame_bytes(&self) -> Option<usize> {
        match self.0.as_deref()? {
            Arguments::Built(_) => None,
            Arguments::Received(received) => Some(received.frame.len()),
        }
    }

    /// The same in bytes of its own: for whoever keeps it for long, since what came in a large frame, or was read together with others,
    /// would keep all of that in memory.
    #[must_use]
    pub fn detached(&self) -> Self {
        let Some(Arguments::Received(received)) = self.0.as_deref() else { return self.clone() };
        let args = &received.frame[received.args.clone()];
        let kwargs = &received.frame[received.kwargs.clone()];
        let frame = Bytes::from([args, kwargs].concat());
        Self::received(received.serializer, &frame, 0..args.len(), args.len()..frame.len())
    }

    fn values(&self) -> Option<&Values> {
        self.0.as_deref().map(Arguments::values)
    }

    /// How many elements of a message it makes up.
    pub(crate) fn elements(&self) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Arguments::Built(values)) => {
                if values.kwargs.is_empty() {
                    1
                } else {
                    2
                }
            }
            Some(Arguments::Received(received)) => {
                if received.kwargs.is_empty() {
                    1
                } else {
                    2
                }
            }
        }
    }

    /// Writes these elements.
    pub(crate) fn write_elements<W: Write>(&self, writer: &mut W) {
        match self.0.as_deref() {
            None => {}
            Some(Arguments::Built(Values { args, kwargs, .. })) => {
                feed_list(args, writer);
                if !kwargs.is_empty() {
                    feed_map(kwargs, writer);
                }
            }
            Some(Arguments::Received(Received { serializer, frame, args, kwargs, .. })) => {
                if args.is_empty() {
                    feed_list(&[], writer);
                } else {
                    transcode(*serializer, &frame[args.clone()], writer);
                }
                if !kwargs.is_empty() {
                    transcode(*serializer, &frame[kwargs.clone()], writer);
                }
            }
        }
    }

    /// About how many bytes these elements take.
    pub(crate) fn bytes_hint(&self, serializer: Serializer) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Arguments::Built(_)) => 256,
            Some(Arguments::Received(received)) => {
                let bytes = received.args.len() + received.kwargs.len();
                if received.serializer == serializer { bytes + 4 } else { bytes + bytes / 4 + 16 }
            }
        }
    }
}

impl Arguments {
    fn values(&self) -> &Values {
        match self {
            Self::Built(values) => values,
            Self::Received(received) => received.values.get_or_init(|| Box::new(received.read())),
        }
    }
}

impl Received {
    fn read(&self) -> Values {
        self.read_within(MAX_PAYLOAD_VALUES).unwrap_or(Values { too_complex: true, ..Values::default() })
    }

    fn read_within(&self, mut limit: usize) -> Option<Values> {
        let mut part = |range: &Range<usize>| {
            if range.is_empty() {
                return Some(Value::Null);
            }
            let mut tree = Tree::new(limit);
            walk(self.serializer, &self.frame[range.clone()], &mut tree);
            let (value, left) = tree.finish()?;
            limit = left;
            Some(value)
        };
        let mut values = Values::default();
        if let Value::List(args) = part(&self.args)? {
            values.args = args;
        }
        if let Value::Map(kwargs) = part(&self.kwargs)? {
            values.kwargs = kwargs;
        }
        Some(values)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.serializer == other.serializer
            && self.frame[self.args.clone()] == other.frame[other.args.clone()]
            && self.frame[self.kwargs.clone()] == other.frame[other.kwargs.clone()]
    }
}

/// The same arguments, in whatever serializer they came.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self.0.as_deref(), other.0.as_deref()) {
            (None, None) => true,
            (Some(Arguments::Received(one)), Some(Arguments::Received(other))) if one.is_same(other) => true,
            (Some(one), Some(other)) => {
                let (one, other) = (one.values(), other.values());
                !one.too_complex && !other.too_complex && one.args == other.args && one.kwargs == other.kwargs
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Payload").field("args", &self.args()).field("kwargs", &self.kwargs()).finish()
    }
}
