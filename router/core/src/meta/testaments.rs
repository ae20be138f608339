//! Testaments: events that a session leaves to be published when it has gone (specification, "Session Testament").

use ecep_proto::error::{INVALID_ARGUMENT, LIMIT_EXCEEDED};
use ecep_proto::payload::Payload;
use ecep_proto::uri::Uri;
use ecep_proto::value::{Dict, Value};

use super::arguments::{Arguments, as_argument, wrong};
use super::nothing;
use crate::broker::{self, PublishOptions};
use crate::options::Failure;
use crate::realm::Context;
use crate::session::SessionKey;
use crate::size;

/// Testaments of one session. Who leaves more than a few words wants a service that watches `wamp.session.on_leave`.
pub const MAX_TESTAMENTS: usize = 16;

/// Bytes of all testaments of one session, as they lie in memory: they are kept as long as the session is idle.
pub const MAX_TESTAMENT_BYTES: usize = 64 << 10;

/// One event that is left.
#[derive(Debug)]
pub(crate) struct Testament {
    pub(crate) topic: Uri,
    pub(crate) options: PublishOptions,
    pub(crate) payload: Payload,
    bytes: usize,
}

/// When a testament is published. Sessions are not resumed here, so one comes right after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Detached,
    Destroyed,
}

/// All that a session leaves.
#[derive(Debug, Default)]
pub(crate) struct Testaments {
    detached: Vec<Testament>,
    destroyed: Vec<Testament>,
}

impl Testaments {
    fn scope(&mut self, scope: Scope) -> &mut Vec<Testament> {
        match scope {
            Scope::Detached => &mut self.detached,
            Scope::Destroyed => &mut self.destroyed,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Testament> {
        self.detached.iter().chain(&self.destroyed)
    }

    /// In the order in which they are published.
    pub(crate) fn into_all(self) -> impl Iterator<Item = Testament> {
        self.detached.into_iter().chain(self.destroyed)
    }
}

/// `wamp.session.add_testament`.
pub(super) fn add(cx: &mut Context, from: SessionKey, arguments: Arguments) -> Result<Payload, Failure> {
    let topic = broker::publishable(cx, from, arguments.text(0, "topic")?.to_owned())?;
    let args = match arguments.get(1) {
        None => Vec::new(),
        Some(Value::List(args)) => args.clone(),
        Some(other) => return Err(wrong("args", "a list", other)),
    };
    let kwargs = arguments.dict(2, "kwargs")?.cloned().unwrap_or_default();
    let payload = Payload::new(args, kwargs);
    let scope = scope(arguments)?;
    let none = Dict::new();
    let options = arguments.keyword_dict("publish_options")?.unwrap_or(&none);
    let bytes = size::of_payload(&payload) + size::of_dict(options) + topic.as_str().len();
    let options = PublishOptions::read(options).and_then(|options| options.allowed(cx, from));
    let options = options.map_err(as_argument)?;
    let Some(session) = cx.sessions.get_mut(from) else { return Ok(nothing()) };
    let testaments = session.testaments.get_or_insert_default();
    if testaments.all().count() >= MAX_TESTAMENTS {
        let text = format!("this session leaves {MAX_TESTAMENTS} testaments already: flush them first");
        return Err(Failure::refused(LIMIT_EXCEEDED, text));
    }
    let held: usize = testaments.all().map(|testament| testament.bytes).sum();
    if held + bytes > MAX_TESTAMENT_BYTES {
        let text = format!(
            "the testaments of this session would take {} bytes, {MAX_TESTAMENT_BYTES} are allowed",
            held + bytes
        );
        return Err(Failure::refused(LIMIT_EXCEEDED, text));
    }
    testaments.scope(scope).push(Testament { topic, options, payload, bytes });
    Ok(nothing())
}

/// `wamp.session.flush_testaments`.
pub(super) fn flush(cx: &mut Context, from: SessionKey, arguments: Arguments) -> Result<Payload, Failure> {
    let scope = scope(arguments)?;
    if let Some(testaments) = cx.sessions.get_mut(from).and_then(|session| session.testaments.as_mut()) {
        testaments.scope(scope).clear();
    }
    Ok(nothing())
}

fn scope(arguments: Arguments) -> Result<Scope, Failure> {
    match arguments.keyword_text("scope")? {
        None | Some("destroyed") => Ok(Scope::Destroyed),
        Some("detached") => Ok(Scope::Detached),
        Some(other) => {
            let text = format!("scope must be detached or destroyed, not {other:?}");
            Err(Failure::refused(INVALID_ARGUMENT, text))
        }
    }
}
