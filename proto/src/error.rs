//! The URIs of errors and of reasons to leave, and what can be wrong with a message.

use thiserror::Error;

use crate::value::MAX_OPTION_VALUES;

/// A peer broke the protocol; ends the session.
pub const PROTOCOL_VIOLATION: &str = "wamp.error.protocol_violation";
/// No such realm, or it is not for this peer.
pub const NO_SUCH_REALM: &str = "wamp.error.no_such_realm";
/// The role that the authenticator gave is not known in the realm.
pub const NO_SUCH_ROLE: &str = "wamp.error.no_such_role";
/// Who that is, nobody knows.
pub const NO_SUCH_PRINCIPAL: &str = "wamp.error.no_such_principal";
/// None of the client's authentication methods is offered here.
pub const NO_MATCHING_AUTH_METHOD: &str = "wamp.error.no_matching_auth_method";
/// The secret was refused.
pub const AUTHENTICATION_DENIED: &str = "wamp.error.authentication_denied";
/// Nobody could tell whether the secret is right.
pub const AUTHENTICATION_FAILED: &str = "wamp.error.authentication_failed";
/// The client must prove who it is.
pub const AUTHENTICATION_REQUIRED: &str = "wamp.error.authentication_required";
/// The role has no rule that allows it.
pub const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";
/// Nobody could tell whether it is allowed.
pub const AUTHORIZATION_FAILED: &str = "wamp.error.authorization_failed";
/// The URI is no URI, or a reserved one.
pub const INVALID_URI: &str = "wamp.error.invalid_uri";
/// An argument of the procedure is missing or wrong.
pub const INVALID_ARGUMENT: &str = "wamp.error.invalid_argument";
/// Nobody has registered the procedure.
pub const NO_SUCH_PROCEDURE: &str = "wamp.error.no_such_procedure";
/// Somebody else has registered the procedure.
pub const PROCEDURE_ALREADY_EXISTS: &str = "wamp.error.procedure_already_exists";
/// The session has no registration with that id.
pub const NO_SUCH_REGISTRATION: &str = "wamp.error.no_such_registration";
/// The session has no subscription with that id.
pub const NO_SUCH_SUBSCRIPTION: &str = "wamp.error.no_such_subscription";
/// The realm has no session with that id, or it is the caller's own where that makes no sense.
pub const NO_SUCH_SESSION: &str = "wamp.error.no_such_session";
/// The option is not offered.
pub const OPTION_NOT_ALLOWED: &str = "wamp.error.option_not_allowed";
/// The router does not let this peer say who it is.
pub const DISCLOSE_ME_DISALLOWED: &str = "wamp.error.option_disallowed.disclose_me";
/// The message needs a feature that the callee does not have.
pub const FEATURE_NOT_SUPPORTED: &str = "wamp.error.feature_not_supported";
/// The call was ended before its callee answered.
pub const CANCELED: &str = "wamp.error.canceled";
/// The callee did not answer in the time that the caller gave it.
pub const TIMEOUT: &str = "wamp.error.timeout";
/// The callee can't take the call at the moment.
pub const UNAVAILABLE: &str = "wamp.error.unavailable";
/// All callees of the procedure have answered that they can't take the call at the moment.
pub const NO_AVAILABLE_CALLEE: &str = "wamp.error.no_available_callee";
/// The message could not be delivered.
pub const NETWORK_FAILURE: &str = "wamp.error.network_failure";
/// The message is larger than its receiver takes.
pub const PAYLOAD_SIZE_EXCEEDED: &str = "wamp.error.payload_size_exceeded";
/// A session holds as many of these as one may. Not in the specification, which has no URI for it.
pub const LIMIT_EXCEEDED: &str = "wamp.error.limit_exceeded";
/// The router has taken a registration or subscription back. Not in the specification, which has no URI for it.
pub const REVOKED: &str = "wamp.error.revoked";
/// The callee failed in a way that it did not name.
pub const RUNTIME_ERROR: &str = "wamp.error.runtime_error";

/// The router shuts down.
pub const CLOSE_SYSTEM_SHUTDOWN: &str = "wamp.close.system_shutdown";
/// The answer to a GOODBYE.
pub const CLOSE_GOODBYE_AND_OUT: &str = "wamp.close.goodbye_and_out";
/// The ordinary reason to leave.
pub const CLOSE_REALM: &str = "wamp.close.close_realm";
/// The ordinary reason to leave, as some clients and the examples of the specification name it.
pub const CLOSE_NORMAL: &str = "wamp.close.normal";
/// The router ended the session.
pub const CLOSE_KILLED: &str = "wamp.close.killed";

/// Why bytes are no WAMP message. The text goes to the peer that sent them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes are not what the serializer writes.
    #[error("not a valid {serializer} value: {reason}")]
    Malformed {
        /// Its name.
        serializer: &'static str,
        /// What the parser says, and where.
        reason: String,
    },
    /// Something follows the message.
    #[error("{0} bytes follow after the end of the message")]
    Trailing(usize),
    /// More than [`crate::codec::MAX_MESSAGE_BYTES`].
    #[error("a message of {0} bytes is larger than any transport of WAMP can carry")]
    TooLarge(usize),
    /// The value is no list that begins with an integer.
    #[error("a WAMP message is a list that begins with the message type, an integer")]
    NotAMessage,
    /// No message has this type.
    #[error("{0} is no known message type")]
    UnknownType(u64),
    /// An element is missing.
    #[error("{message} has no {field}")]
    Missing {
        /// The message's name.
        message: &'static str,
        /// The element's name.
        field: &'static str,
    },
    /// An element is something else than it should be.
    #[error("{message}.{field} must be {expected}, not {found}")]
    WrongType {
        /// The message's name.
        message: &'static str,
        /// The element's name.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Options or details that take too much memory.
    #[error("{message}.{field} holds more than {MAX_OPTION_VALUES} values, each dictionary counted as 24")]
    TooComplex {
        /// The message's name.
        message: &'static str,
        /// The element's name.
        field: &'static str,
    },
    /// There are more elements than the message has.
    #[error("{message} has {extra} elements too many")]
    Surplus {
        /// The message's name.
        message: &'static str,
        /// How many.
        extra: usize,
    },
}
