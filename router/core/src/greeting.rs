//! What is said before a session has joined: HELLO and AUTHENTICATE, read and judged without I/O.

use ecep_proto::error::{INVALID_URI, NO_MATCHING_AUTH_METHOD, PROTOCOL_VIOLATION};
use ecep_proto::message::{Abort, Authenticate, Message};
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Strictness, Uri};
use ecep_proto::value::{Dict, Value};

use crate::features::Features;

/// The roles that a client can announce.
const CLIENT_ROLES: [&str; 4] = ["publisher", "subscriber", "caller", "callee"];

/// The method of clients that name none.
pub const ANONYMOUS: &str = "anonymous";

/// A secret that the client holds, sent as it is.
pub const TICKET: &str = "ticket";

/// What a client wants, by its HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The realm.
    pub realm: String,
    /// Who it says it is; empty if it does not say.
    pub authid: String,
    /// The authentication methods that it can do, best first; `anonymous` if it names none.
    pub methods: Vec<String>,
    /// What it can do.
    pub features: Features,
}

impl Greeting {
    /// The first of the client's methods that is offered.
    ///
    /// # Errors
    /// ABORT, naming what is offered.
    pub fn choose(&self, offered: &[&'static str]) -> Result<&'static str, Abort> {
        let chosen = self.methods.iter().find_map(|wanted| offered.iter().find(|method| *method == wanted));
        chosen.copied().ok_or_else(|| {
            let text = format!(
                "realm {} is joined by {}; the client offers {}",
                self.realm,
                offered.join(" or "),
                self.methods.join(", ")
            );
            abort(NO_MATCHING_AUTH_METHOD, &text)
        })
    }
}

/// An ABORT with a sentence for people.
pub fn abort(reason: &str, message: &str) -> Abort {
    let details = Dict::from([("message".to_owned(), Value::from(message))]);
    Abort { details, reason: reason.to_owned(), payload: Payload::default() }
}

/// Reads the first message of a client.
///
/// # Errors
/// The ABORT to answer.
pub fn read_hello(message: Message) -> Result<Greeting, Abort> {
    let hello = match message {
        Message::Hello(hello) => hello,
        other => {
            let text = format!("the first message must be HELLO, not {}", other.name());
            return Err(abort(PROTOCOL_VIOLATION, &text));
        }
    };
    let realm = Uri::parse(hello.realm, Strictness::Loose)
        .map_err(|error| abort(INVALID_URI, &format!("the realm's name is wrong: {error}")))?;
    let roles = hello.details.get("roles").and_then(Value::as_map);
    let named = roles.filter(|roles| CLIENT_ROLES.iter().any(|role| roles.contains_key(*role)));
    let Some(roles) = named else {
        let text = format!("HELLO.Details.roles must name at least one of {}", CLIENT_ROLES.join(", "));
        return Err(abort(PROTOCOL_VIOLATION, &text));
    };
    let is_role = |value: &Value| matches!(value, Value::Map(_) | Value::Null);
    if let Some((role, other)) = roles.iter().find(|(_, features)| !is_role(features)) {
        let text = format!("HELLO.Details.roles.{role} must be a dictionary, not {}", other.kind());
        return Err(abort(PROTOCOL_VIOLATION, &text));
    }
    let features = Features::of_roles(roles);
    let authid = match hello.details.get("authid") {
        None | Some(Value::Null) => String::new(),
        Some(Value::Str(authid)) => authid.clone(),
        Some(other) => {
            let text = format!("HELLO.Details.authid must be a string, not {}", other.kind());
            return Err(abort(PROTOCOL_VIOLATION, &text));
        }
    };
    let methods: Vec<String> = match hello.details.get("authmethods") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            let names = value.as_list().and_then(|methods| methods.iter().map(Value::as_str).collect());
            let names: Vec<&str> = names.ok_or_else(|| {
                let text = "HELLO.Details.authmethods must be a list of strings";
                abort(PROTOCOL_VIOLATION, text)
            })?;
            names.into_iter().map(str::to_owned).collect()
        }
    };
    let methods = if methods.is_empty() { vec![ANONYMOUS.to_owned()] } else { methods };
    Ok(Greeting { realm: realm.into_string(), authid, methods, features })
}

/// Reads the answer to CHALLENGE, whatever the method; none if the client gave up.
///
/// # Errors
/// The ABORT to answer.
pub fn read_authenticate(message: Message) -> Result<Option<Authenticate>, Abort> {
    match message {
        Message::Authenticate(message) => Ok(Some(message)),
        Message::Abort(_) | Message::Goodbye(_) => Ok(None),
        other => {
            let text = format!("CHALLENGE must be answered by AUTHENTICATE, not {}", other.name());
            Err(abort(PROTOCOL_VIOLATION, &text))
        }
    }
}
