//! Which of several callees gets a call (specification, "Shared Registration").

use ecep_proto::value::{Dict, Value};

use crate::options::Failure;

/// How calls are spread over the callees of one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// There is one callee.
    Single,
    /// The one that registered first.
    First,
    /// The one that registered last.
    Last,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The one with the fewest calls. Not in the specification; crossbar has it.
    Load,
}

impl Policy {
    const ALL: [Self; 6] =
        [Self::Single, Self::First, Self::Last, Self::RoundRobin, Self::Random, Self::Load];

    /// The name in `Options.invoke`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::First => "first",
            Self::Last => "last",
            Self::RoundRobin => "roundrobin",
            Self::Random => "random",
            Self::Load => "load",
        }
    }

    /// The option `invoke`.
    pub(crate) fn of_options(options: &Dict) -> Result<Self, Failure> {
        let text = match options.get("invoke") {
            None | Some(Value::Null) => return Ok(Self::Single),
            Some(Value::Str(name)) => match Self::ALL.into_iter().find(|policy| policy.name() == name) {
                Some(policy) => return Ok(policy),
                None => format!("{name:?}"),
            },
            Some(other) => other.kind().to_owned(),
        };
        let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
        Err(Failure::Violation(format!("option invoke must be one of {}, not {text}", names.join(", "))))
    }
}
