//! Artifacts: files that tenants have uploaded, kept once by what is in them. Uploads go by tus 1.0 over HTTP, not over WAMP.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::ApplicationName;

/// Bytes of one upload at most: an image archive of a few gigabytes; more is a disk image, not an application for a small device.
pub const MAX_UPLOAD_BYTES: u64 = 4 << 30;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a digest; use the 64 hexadecimal digits (0-9, a-f) of the content's SHA-256")]
pub struct DigestError(String);

/// The SHA-256 of an artifact's bytes as they were uploaded, as 64 lower-case hexadecimal digits: its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(try_from = "String", into = "String")]
#[ts(type = "string")]
pub struct ArtifactDigest(String);

impl ArtifactDigest {
    /// Of these 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactDigest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.len() == 64 && is_hexadecimal {
            Ok(Self(text.to_owned()))
        } else {
            Err(DigestError(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for ArtifactDigest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<ArtifactDigest> for String {
    fn from(digest: ArtifactDigest) -> String {
        digest.0
    }
}

impl fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an uploaded file was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// As `docker save` makes it, compressed or not.
    ImageArchive,
    /// A tree of files with a Dockerfile at its root.
    SourceBundle,
    /// A tree of files.
    Files,
}

/// An artifact of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ArtifactView {
    /// Its id.
    pub digest: ArtifactDigest,
    /// The name of the file that was uploaded.
    pub name: String,
    /// What it was found to be.
    pub kind: ArtifactKind,
    /// Bytes, as they were uploaded.
    pub bytes: u64,
    /// Bytes of all that is in it.
    pub unpacked_bytes: u64,
    /// For which architectures its image is, as `docker` calls them (`amd64`, `arm64`, `arm/v7`); empty for other kinds.
    pub architectures: Vec<String>,
    /// When it was uploaded, in milliseconds since 1970.
    pub uploaded_at: u64,
    /// The applications that have a version of it.
    pub applications: Vec<ApplicationName>,
}

/// The tenant's artifacts, and how much room they take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ArtifactList {
    /// The newest first.
    pub artifacts: Vec<ArtifactView>,
    /// Bytes of all of them, and of what is being uploaded.
    pub used_bytes: u64,
    /// Bytes that the tenant may have.
    pub quota_bytes: u64,
    /// Bytes of one upload at most.
    pub max_upload_bytes: u64,
}

/// Which artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    /// Its id.
    pub digest: ArtifactDigest,
}

/// `GET /api/tenants/{slug}/uploads/{id}` (owner, operator): how an upload stands, for a client that has lost an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct UploadView {
    /// Its id, the last part of its URL.
    pub id: String,
    /// The name of the file.
    pub name: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that are here.
    pub received: u64,
    /// When it is forgotten, in milliseconds since 1970: what came of it, too.
    pub expires_at: u64,
    /// What it has become.
    pub artifact: Option<ArtifactDigest>,
    /// Why it was refused, a sentence.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digest becomes part of file names: nothing but 64 hexadecimal digits may pass.
    #[test]
    fn a_digest_is_64_hexadecimal_digits_and_nothing_else() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(good.parse::<ArtifactDigest>().map(String::from), Ok(good.clone()));
        for bad in
            ["", "..", &good[1..], &good.to_uppercase(), &format!("{}/", &good[1..]), &format!("{good}0")]
        {
            assert!(bad.parse::<ArtifactDigest>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!(ArtifactDigest::from_bytes([0xab; 32]).as_str(), "ab".repeat(32));
    }
}
