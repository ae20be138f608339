//! Reading the arguments of a meta procedure. What is wrong is an ERROR: the session knows the protocol well enough.

use ecep_proto::error::INVALID_ARGUMENT;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};

use crate::options::{self, Failure};

/// The arguments of one call.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a>(pub(super) &'a Payload);

impl<'a> Arguments<'a> {
    /// A positional argument; null is the same as none.
    pub(super) fn get(self, index: usize) -> Option<&'a Value> {
        self.0.args().get(index).filter(|value| **value != Value::Null)
    }

    /// A keyword argument; null is the same as none.
    pub(super) fn keyword(self, name: &str) -> Option<&'a Value> {
        self.0.kwargs()?.get(name).filter(|value| **value != Value::Null)
    }

    /// An id that must be there. What is no id names nothing: 0 stands for it.
    pub(super) fn id(self, index: usize, name: &str) -> Result<u64, Failure> {
        let value = self.get(index).ok_or_else(|| missing(index, name))?;
        value.as_id().ok_or_else(|| wrong(name, "an id", value))
    }

    /// A text that must be there.
    pub(super) fn text(self, index: usize, name: &str) -> Result<&'a str, Failure> {
        let value = self.get(index).ok_or_else(|| missing(index, name))?;
        value.as_str().ok_or_else(|| wrong(name, "a string", value))
    }

    /// A list of texts, if it is there.
    pub(super) fn texts(self, index: usize, name: &str) -> Result<Option<Vec<&'a str>>, Failure> {
        let Some(value) = self.get(index) else { return Ok(None) };
        let list = value.as_list().and_then(|list| list.iter().map(Value::as_str).collect());
        list.map(Some).ok_or_else(|| wrong(name, "a list of strings", value))
    }

    /// A dictionary, if it is there.
    pub(super) fn dict(self, index: usize, name: &str) -> Result<Option<&'a Dict>, Failure> {
        let Some(value) = self.get(index) else { return Ok(None) };
        value.as_map().map(Some).ok_or_else(|| wrong(name, "a dictionary", value))
    }

    /// What a lookup asks for: a topic or procedure, or a pattern of them, and by the option `match` in the argument after
    /// it the way of matching.
    pub(super) fn pattern(self, name: &str) -> Result<(Match, &'a str), Failure> {
        let pattern = self.text(0, name)?;
        let none = Dict::new();
        let options = self.dict(1, "options")?.unwrap_or(&none);
        Ok((options::matching(options).map_err(as_argument)?, pattern))
    }

    /// A keyword argument that is a text, if it is there.
    pub(super) fn keyword_text(self, name: &str) -> Result<Option<&'a str>, Failure> {
        let Some(value) = self.keyword(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, "a string", value))
    }

    /// A keyword argument that is a dictionary, if it is there.
    pub(super) fn keyword_dict(self, name: &str) -> Result<Option<&'a Dict>, Failure> {
        let Some(value) = self.keyword(name) else { return Ok(None) };
        value.as_map().map(Some).ok_or_else(|| wrong(name, "a dictionary", value))
    }
}

/// Options that are an argument can be wrong without breaking the protocol.
pub(super) fn as_argument(failure: Failure) -> Failure {
    match failure {
        Failure::Violation(message) => Failure::refused(INVALID_ARGUMENT, message),
        refused @ Failure::Refused { .. } => refused,
    }
}

fn missing(index: usize, name: &str) -> Failure {
    Failure::refused(INVALID_ARGUMENT, format!("argument {}, {name}, is missing", index + 1))
}

/// The argument is something else than it should be.
pub(super) fn wrong(name: &str, expected: &str, found: &Value) -> Failure {
    Failure::refused(INVALID_ARGUMENT, format!("{name} must be {expected}, not {}", found.kind()))
}
