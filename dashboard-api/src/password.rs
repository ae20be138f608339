//! Passwords: argon2id, off the async threads, a few at a time.
//!
//! Owns the parameters and the queue. Must not know accounts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// Memory of one hash in KiB; with two passes this is OWASP's minimum for argon2id (19 MiB, t=2, p=1).
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;
/// Hashes at the same time: each takes a core and 19 MiB, and logins must not starve the rest.
const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn. Policy: whoever comes when the queue is full is told to try again.
const MAX_WAITING: usize = 64;
/// Further ones for those who are known, so that a flood of strangers does not keep them out.
const MAX_WAITING_KNOWN: usize = 16;

/// Who waits for a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody.
    Stranger,
    /// Somebody who is logged in, or whose browser was before.
    Known,
}

impl Who {
    /// How many may be inside for this one to come in.
    fn room(self) -> usize {
        match self {
            Who::Stranger => AT_ONCE + MAX_WAITING,
            Who::Known => AT_ONCE + MAX_WAITING + MAX_WAITING_KNOWN,
        }
    }
}

/// Why a password could be neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many at once.
    #[error("too many people log in at this moment; try again in a few seconds")]
    Busy,
    /// The library refused, or the stored hash is damaged.
    #[error("a password could not be hashed or checked: {0}")]
    Hash(String),
}

impl From<password_hash::Error> for PasswordError {
    fn from(error: password_hash::Error) -> Self {
        Self::Hash(error.to_string())
    }
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    inside: AtomicUsize,
    /// Checked when there is no such account, so that both answers take the same time.
    nobody: String,
}

impl Passwords {
    /// Prepares the hash that unknown accounts are checked against.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] if the system has no random numbers.
    pub fn new() -> Result<Self, PasswordError> {
        let nobody = hash(&crate::secret::random_secret())?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), inside: AtomicUsize::new(0), nobody })
    }

    /// The hash to store, as a PHC string.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn hash(&self, who: Who, password: String) -> Result<String, PasswordError> {
        self.in_turn(who, move || hash(&password)).await
    }

    /// Whether the password belongs to the stored hash; `None` stands for an account that does not exist, is
    /// always wrong and takes as long.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn verify(
        &self,
        who: Who,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, PasswordError> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        let right = self.in_turn(who, move || verify(&password, &stored)).await?;
        Ok(right && exists)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        who: Who,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = Place::take(&self.inside, who).ok_or(PasswordError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|error| PasswordError::Hash(error.to_string()))?
    }
}

/// A place in the queue, given back also when the request is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(inside: &'a AtomicUsize, who: Who) -> Option<Self> {
        if inside.fetch_add(1, Ordering::AcqRel) >= who.room() {
            inside.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Self(inside))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let hash: PasswordHash = argon2()?.hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

fn verify(password: &str, stored: &str) -> Result<bool, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(|error| PasswordError::Hash(error.to_string()))?;
    match argon2()?.verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right password, a wrong one and an unknown account; and the stored form names its parameters.
    #[tokio::test]
    async fn accepts_only_the_right_password() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash(Who::Stranger, "correct horse battery".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(
            passwords
                .verify(Who::Stranger, "correct horse battery".to_owned(), Some(stored.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords.verify(Who::Stranger, "correct horse batterz".to_owned(), Some(stored)).await.unwrap()
        );
        assert!(!passwords.verify(Who::Stranger, "correct horse battery".to_owned(), None).await.unwrap());
    }

    /// A flood of logins must be refused at the door, not pile up memory; and not keep out who is known. An account that
    /// does not exist costs the same work, so it waits for the same places.
    #[tokio::test]
    async fn a_full_queue_refuses() {
        let passwords = Passwords::new().unwrap();
        let places: Vec<_> = (0..MAX_WAITING + AT_ONCE)
            .map(|_| Place::take(&passwords.inside, Who::Stranger).unwrap())
            .collect();
        assert!(matches!(passwords.hash(Who::Stranger, "x".to_owned()).await, Err(PasswordError::Busy)));
        let nobody = passwords.verify(Who::Stranger, "x".to_owned(), None).await;
        assert!(matches!(nobody, Err(PasswordError::Busy)));
        assert!(passwords.hash(Who::Known, "x".to_owned()).await.is_ok());
        drop(places);
        assert!(passwords.hash(Who::Stranger, "x".to_owned()).await.is_ok());
    }
}
