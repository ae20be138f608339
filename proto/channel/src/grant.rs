//! A migration's permission: signed by the control plane, for two named devices, one container and a short time. Knows
//! no clock: callers say what time it is. That it is used once is the business of [`crate::spent`].

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_proto::api::name::{ContainerId, DeviceId, OperationId, TenantSlug};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{peer::Peer, spent::RESUME_LIMIT, validity::rfc3339};

/// Longest time for which a grant may be made: it must outlive pre-flight and a wait in the queue, and no more. It
/// also bounds how long used grants must be remembered.
pub const MAX_GRANT_LIFETIME: u64 = 24 * 60 * 60;
/// What is signed begins with this, so that no signature made for another purpose passes here.
const DOMAIN: &[u8] = b"ecep migration grant v1\0";

/// A grant's id: 128 random bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantId(u128);

impl GrantId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for GrantId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(id) if is_hexadecimal => Ok(Self(id)),
            _ => Err(format!("{text:?} is no grant id (32 hexadecimal digits)")),
        }
    }
}

impl TryFrom<String> for GrantId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GrantId> for String {
    fn from(id: GrantId) -> String {
        id.to_string()
    }
}

/// How the container is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Stopped, copied, started.
    Cold,
    /// Frozen, copied with its memory, restored.
    Live,
    /// As `Live`, or as `Cold` where the source finds, before anything is frozen, that it would stand still for too long.
    LiveOrCold,
    /// It does not move at all: a checkpoint of it is copied.
    Checkpoint,
}

impl Mode {
    /// Whether the container may come with its memory.
    pub fn allows_live(self) -> bool {
        matches!(self, Mode::Live | Mode::LiveOrCold)
    }
}

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// This grant's id.
    pub id: GrantId,
    /// The migration that it is for.
    pub migration: OperationId,
    /// The container that moves.
    pub container: ContainerId,
    /// Whose container it is.
    pub tenant: TenantSlug,
    /// The device that has it.
    pub source: DeviceId,
    /// The device that gets it.
    pub destination: DeviceId,
    /// The container's generation when the migration began: a source of an older one is refused.
    pub generation: u64,
    /// How.
    pub mode: Mode,
    /// The last second in which it can be used for the first time, since 1970.
    pub not_after: u64,
}

/// A grant and the control plane's signature (Ed25519, base64 without padding).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedGrant {
    grant: Grant,
    signature: String,
}

/// Why a grant allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not signed by our control plane, or changed since.
    #[error("the grant is not signed by this installation's control plane")]
    Forged,
    /// Too late.
    #[error(
        "the grant ended at {not_after} and the clock says {clock}: order the migration again, or set the clock"
    )]
    Expired {
        /// Its last second, RFC 3339.
        not_after: String,
        /// The clock, RFC 3339.
        clock: String,
    },
    /// It holds for longer than grants may.
    #[error(
        "the grant holds until {not_after}, longer than a day from {clock}, which the clock says: set the clock"
    )]
    TooLong {
        /// Its last second, RFC 3339.
        not_after: String,
        /// The clock, RFC 3339.
        clock: String,
    },
    /// Somebody else's.
    #[error(
        "the grant is for a migration from device {source_device} to device {destination}, not from {from} to {to}"
    )]
    OtherEnds {
        /// The grant's source.
        source_device: DeviceId,
        /// The grant's destination.
        destination: DeviceId,
        /// Who would send.
        from: Peer,
        /// Who would receive.
        to: Peer,
    },
    /// For another container.
    #[error("the grant is for container {granted} of tenant {tenant}, not for {asked}")]
    OtherContainer {
        /// The grant's container.
        granted: ContainerId,
        /// The grant's tenant.
        tenant: TenantSlug,
        /// The container that was asked for.
        asked: ContainerId,
    },
    /// The container moved since.
    #[error(
        "the grant is for generation {granted} of the container, which is now at {current}: it has moved since"
    )]
    OtherGeneration {
        /// The grant's generation.
        granted: u64,
        /// The journal's generation.
        current: u64,
    },
}

impl Grant {
    /// Signs it: the control plane's part.
    pub fn sign(self, key: &SigningKey) -> SignedGrant {
        let signature = STANDARD_NO_PAD.encode(key.sign(&self.signed_bytes()).to_bytes());
        SignedGrant { grant: self, signature }
    }

    /// The one way to write these fields as bytes: the domain, then each field with its length in front.
    fn signed_bytes(&self) -> Vec<u8> {
        let Self { id, migration, container, tenant, source, destination, generation, mode, not_after } =
            self;
        let mode: &[u8] = match mode {
            Mode::Cold => b"cold",
            Mode::Live => b"live",
            Mode::LiveOrCold => b"live-or-cold",
            Mode::Checkpoint => b"checkpoint",
        };
        let mut bytes = DOMAIN.to_vec();
        for field in [
            id.0.to_be_bytes().as_slice(),
            migration.as_str().as_bytes(),
            container.as_str().as_bytes(),
            tenant.as_str().as_bytes(),
            source.as_str().as_bytes(),
            destination.as_str().as_bytes(),
            &generation.to_be_bytes(),
            mode,
            &not_after.to_be_bytes(),
        ] {
            // Names have at most 63 bytes; the rest is fixed.
            bytes.push(u8::try_from(field.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(field);
        }
        bytes
    }

    /// That the two verified ends of a channel are the ones that it names.
    pub fn check_ends(&self, from: &Peer, to: &Peer) -> Result<(), GrantError> {
        if from.device() == Some(&self.source) && to.device() == Some(&self.destination) {
            return Ok(());
        }
        Err(GrantError::OtherEnds {
            source_device: self.source.clone(),
            destination: self.destination.clone(),
            from: from.clone(),
            to: to.clone(),
        })
    }

    /// That it is for this container of this tenant, as it is now in the journal.
    pub fn check_container(
        &self,
        container: &ContainerId,
        tenant: &TenantSlug,
        generation: u64,
    ) -> Result<(), GrantError> {
        if self.container != *container || self.tenant != *tenant {
            return Err(GrantError::OtherContainer {
                granted: self.container.clone(),
                tenant: self.tenant.clone(),
                asked: container.clone(),
            });
        }
        if self.generation != generation {
            return Err(GrantError::OtherGeneration { granted: self.generation, current: generation });
        }
        Ok(())
    }

    /// That it may still be used at `now`, for the first time or for going on: what a relay can tell, which does not
    /// know the migration.
    pub(crate) fn check_resumable(&self, now: u64) -> Result<(), GrantError> {
        if now > self.not_after.saturating_add(RESUME_LIMIT) {
            return Err(GrantError::Expired { not_after: rfc3339(self.not_after), clock: rfc3339(now) });
        }
        Ok(())
    }

    /// That it may be used for the first time at `now` (seconds since 1970).
    pub fn check_time(&self, now: u64) -> Result<(), GrantError> {
        let (not_after, clock) = (rfc3339(self.not_after), rfc3339(now));
        if now > self.not_after {
            return Err(GrantError::Expired { not_after, clock });
        }
        if self.not_after - now > MAX_GRANT_LIFETIME {
            return Err(GrantError::TooLong { not_after, clock });
        }
        Ok(())
    }
}

impl SignedGrant {
    /// The grant, if the control plane signed it. Time, ends and container are checked on what comes back.
    pub fn verify(&self, key: &VerifyingKey) -> Result<&Grant, GrantError> {
        let signature = STANDARD_NO_PAD.decode(&self.signature).map_err(|_| GrantError::Forged)?;
        let signature = Signature::from_slice(&signature).map_err(|_| GrantError::Forged)?;
        key.verify_strict(&self.grant.signed_bytes(), &signature).map_err(|_| GrantError::Forged)?;
        Ok(&self.grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            id: GrantId::random(),
            migration: "m-1".parse().unwrap(),
            container: "c-1".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            source: "a".parse().unwrap(),
            destination: "b".parse().unwrap(),
            generation: 3,
            mode: Mode::Live,
            not_after: 1_800_000_000,
        }
    }

    /// Every field is under the signature: changing any one of them must void it.
    #[test]
    fn no_field_can_be_changed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signed = grant().sign(&key);
        assert!(signed.verify(&key.verifying_key()).is_ok());
        let json = serde_json::to_value(&signed).unwrap();
        for (field, other) in [
            ("id", "00000000000000000000000000000000".into()),
            ("migration", "m-2".into()),
            ("container", "c-2".into()),
            ("tenant", "evil".into()),
            ("source", "x".into()),
            ("destination", "x".into()),
            ("generation", 4.into()),
            ("mode", "cold".into()),
            ("not_after", serde_json::Value::from(1_900_000_000u64)),
        ] {
            let mut changed = json.clone();
            changed["grant"][field] = other;
            let changed: SignedGrant = serde_json::from_value(changed).unwrap();
            assert_eq!(changed.verify(&key.verifying_key()), Err(GrantError::Forged), "{field}");
        }
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(signed.verify(&other.verifying_key()), Err(GrantError::Forged));
    }

    /// Fields must not be able to lend each other bytes.
    #[test]
    fn moving_a_boundary_changes_the_bytes() {
        let one = Grant { migration: "ab".parse().unwrap(), container: "c".parse().unwrap(), ..grant() };
        let two = Grant { migration: "a".parse().unwrap(), container: "bc".parse().unwrap(), ..one.clone() };
        assert_ne!(one.signed_bytes(), two.signed_bytes());
    }

    /// A grant is for its two devices in that direction, its container, its generation and its time.
    #[test]
    fn each_binding_is_checked() {
        let grant = grant();
        let (a, b) = (Peer::Device("a".parse().unwrap()), Peer::Device("b".parse().unwrap()));
        assert_eq!(grant.check_ends(&a, &b), Ok(()));
        for (from, to) in [(&b, &a), (&a, &a), (&Peer::Cloud, &b), (&a, &Peer::Cloud)] {
            assert!(
                matches!(grant.check_ends(from, to), Err(GrantError::OtherEnds { .. })),
                "{from} to {to}"
            );
        }
        let (container, tenant) = ("c-1".parse().unwrap(), "acme".parse().unwrap());
        assert_eq!(grant.check_container(&container, &tenant, 3), Ok(()));
        assert!(grant.check_container(&"c-2".parse().unwrap(), &tenant, 3).is_err());
        assert!(grant.check_container(&container, &"evil".parse().unwrap(), 3).is_err());
        assert!(grant.check_container(&container, &tenant, 4).is_err());
        assert_eq!(grant.check_time(grant.not_after), Ok(()));
        assert!(matches!(grant.check_time(grant.not_after + 1), Err(GrantError::Expired { .. })));
        assert!(matches!(grant.check_time(0), Err(GrantError::TooLong { .. })));
    }
}
