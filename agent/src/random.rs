//! Ids and nonces from the system's random numbers.

use ecep_proto::api::name::{ContainerId, NameError, OperationId};

/// Lower-case base32 (RFC 4648): safe in URIs, labels and file names, and easy to read aloud.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 60 bits: no two containers of a fleet get the same id by chance.
const LENGTH: usize = 12;

/// A new container's id.
///
/// # Errors
/// Never in practice; the alphabet holds only what a name may.
pub fn container_id() -> Result<ContainerId, NameError> {
    format!("c{}", token()).parse()
}

/// An operation's id, where the caller chose none.
///
/// # Errors
/// As [`container_id`].
pub fn operation_id() -> Result<OperationId, NameError> {
    format!("op-{}", token()).parse()
}

/// A journal's id.
pub fn journal_id() -> String {
    format!("j{}", token())
}

fn token() -> String {
    let random: [u8; LENGTH] = rand::random();
    random.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id that is not a valid name would break URIs; two alike would mix up containers.
    #[test]
    fn ids_are_names_and_differ() {
        let first = container_id().unwrap();
        assert!(first.as_str().starts_with('c') && first.as_str().len() == 13, "{first}");
        assert_ne!(first, container_id().unwrap());
        assert!(operation_id().unwrap().as_str().starts_with("op-"));
    }
}
