//! What a stream is for: the first message on it, and the answer. A new kind is a new variant; an older end answers
//! it with [`RefusalCode::Unsupported`].

use ecep_proto::api::{
    artifact::ArtifactDigest,
    file::{LogWish, StoreFile},
    name::{ContainerId, DeviceId, TenantSlug},
    terminal::TerminalId,
};
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
    /// To the cloud: send this artifact, which this device was told to deploy. A transfer of one file follows, towards the device.
    Artifact {
        /// Whose.
        tenant: TenantSlug,
        /// Which.
        digest: ArtifactDigest,
    },
    /// To the cloud: keep this file. A transfer of one file follows, towards the cloud.
    Store {
        /// Whose.
        tenant: TenantSlug,
        /// What it is.
        file: StoreFile,
        /// How many bytes it has, so that there is room for it before the first one comes.
        bytes: u64,
    },
    /// From the cloud: a container's output. Frames of lines follow, towards the cloud.
    Log {
        /// Whose.
        tenant: TenantSlug,
        /// Which.
        container: ContainerId,
        /// Which lines.
        wish: LogWish,
    },
    /// From the cloud: somebody attaches this terminal. Frames follow both ways.
    Terminal {
        /// Whose.
        tenant: TenantSlug,
        /// Which.
        terminal: TerminalId,
        /// The account or token of whoever attaches it: the device lets in who opened it.
        authid: String,
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
    /// There is no such container or terminal.
    NotFound,
    /// Too much at once; later is fine.
    Busy,
    /// It was done before: the file that was to be stored is stored.
    AlreadyDone,
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
