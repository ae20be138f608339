//! Secrets that the control plane makes: random, stored only as SHA-256, compared in constant time.
//!
//! A plain hash is enough for them because they have 256 random bits; passwords are another matter (`password`).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Letters and digits that are hard to take for one another, for ids that people read out.
const READABLE: &[u8] = b"23456789abcdefghjkmnpqrstvwxyz";

/// A new secret of 256 random bits, as 43 characters that need no escaping in URLs, headers and shells.
pub fn random_secret() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Random letters and digits for the end of an id. Makes ids unique, not secret.
pub fn random_suffix(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(READABLE[rng.random_range(0..READABLE.len())])).collect()
}

/// What is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of this secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether it is of this secret; takes the same time either way.
    pub fn matches(&self, secret: &str) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }

    /// As a key of a table.
    pub fn to_key(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash must accept its own secret and nothing else, also after a round through the store.
    #[test]
    fn matches_only_its_own_secret() {
        let secret = random_secret();
        let hash: SecretHash =
            serde_json::from_str(&serde_json::to_string(&SecretHash::of(&secret)).unwrap()).unwrap();
        assert!(hash.matches(&secret));
        assert!(!hash.matches(&random_secret()));
        assert!(!hash.matches(""));
    }

    /// Ids go into URIs: every suffix must be allowed there.
    #[test]
    fn suffixes_are_valid_in_ids() {
        let suffix = random_suffix(40);
        assert!(suffix.parse::<ecep_proto::api::name::DeviceId>().is_ok(), "{suffix}");
    }
}
