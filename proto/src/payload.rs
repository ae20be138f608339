//! The arguments of a call, result, error or event.
//!
//! Opaque on purpose: whoever routes a payload has no business inside it, and the inside may one day be bytes
//! that are passed on as they came. Cloning is cheap, so that one payload can go to many.

use std::sync::Arc;

use crate::value::{Dict, Value};

/// Positional and keyword arguments.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Payload(Option<Arc<Arguments>>);

#[derive(Clone, Debug, PartialEq)]
struct Arguments {
    args: Vec<Value>,
    kwargs: Dict,
}

impl Payload {
    /// These arguments. Empty lists and dictionaries are the same as none.
    pub fn new(args: Vec<Value>, kwargs: Dict) -> Self {
        if args.is_empty() && kwargs.is_empty() {
            return Self(None);
        }
        Self(Some(Arc::new(Arguments { args, kwargs })))
    }

    /// One positional argument.
    pub fn of(arg: impl Into<Value>) -> Self {
        Self::new(vec![arg.into()], Dict::new())
    }

    /// The positional arguments.
    pub fn args(&self) -> &[Value] {
        self.0.as_deref().map_or(&[], |arguments| &arguments.args)
    }

    /// The keyword arguments; none if there are no arguments at all.
    pub fn kwargs(&self) -> Option<&Dict> {
        self.0.as_deref().map(|arguments| &arguments.kwargs)
    }

    /// Both, taken out.
    pub fn into_parts(self) -> (Vec<Value>, Dict) {
        match self.0.map(Arc::unwrap_or_clone) {
            Some(Arguments { args, kwargs }) => (args, kwargs),
            None => (Vec::new(), Dict::new()),
        }
    }
}
