//! What a stream is for: the first message on it, and the answer. A new kind is a new variant; an older end answers
//! it with [`RefusalCode::Unsupported`].

use ecep_proto::api::name::DeviceId;
use serde::{Deserialize, Serialize};

use crate::grant::SignedGrant;

/// The opener's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Header {
    /// One byte to and fro, so that a silent peer is noticed. The package's own; never seen by its users.
    KeepAlive,
    /// What is sent comes back: for measuring a link, and for tests.
    Echo,
    /// A migration's bytes, between the two ends that the grant names.
    Migration {
        /// What allows it.
        grant: SignedGrant,
    },
    /// To the cloud: join this stream with device `to`. Inside it the two devices make TLS of their own.
    Relay {
        /// The device to be reached.
        to: DeviceId,
        /// What allows it.
        grant: SignedGrant,
    },
    /// From the cloud: `from` wants to speak to you here, by TLS of its own.
    Relayed {
        /// The device that asked.
        from: DeviceId,
        /// What allows it.
        grant: SignedGrant,
    },
}

/// Why a stream was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The device to be reached has no channel now.
    NotConnected,
    /// Not allowed.
    Forbidden,
    /// Too much at once; later is fine.
    Busy,
    /// The header is of a newer version.
    Unsupported,
    /// Everything else.
    Failed,
}

/// A refusal, for the person who must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what is wrong and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The answer to a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The stream is taken; bytes may flow.
    Taken,
    /// It is not.
    Refused(Refusal),
}
