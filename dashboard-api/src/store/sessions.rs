//! Logins, each under the hash of its cookie. An account has a bounded number of them.

use super::{Account, Session, Store, StoreError};
use crate::secret::SecretHash;

/// Browsers in which one person is logged in at a time. Policy: one more ends the oldest login.
const MAX_SESSIONS_OF_AN_ACCOUNT: usize = 32;
/// Characters of a login's id. It is the beginning of the cookie's hash, which tells nothing of the cookie.
const SESSION_ID: usize = 16;

/// When something was last used is kept to the minute, so that not every request writes.
pub(super) fn to_the_minute(unix_ms: u64) -> u64 {
    unix_ms - unix_ms % 60_000
}

impl Store {
    /// Remembers a login of an account that is still as it was judged. Of an account's logins only the newest few are
    /// kept. Whether it was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn log_in(
        &self,
        judged: &Account,
        cookie: SecretHash,
        session: &Session,
    ) -> Result<bool, StoreError> {
        let done = {
            let _alone = self.alone();
            let is_same = self.is_as_judged(judged)?;
            if is_same {
                self.put_session(cookie, session)?;
            }
            is_same
        };
        self.flush().await?;
        Ok(done)
    }

    fn put_session(&self, cookie: SecretHash, session: &Session) -> Result<(), StoreError> {
        let mut own = self.sessions_of(&session.account)?;
        own.sort_by_key(|(_, other)| other.expires_at);
        let too_many = (own.len() + 1).saturating_sub(MAX_SESSIONS_OF_AN_ACCOUNT);
        for (key, _) in own.into_iter().take(too_many) {
            self.sessions.remove(&key)?;
        }
        self.sessions.put(&cookie.to_key(), session)
    }

    /// The login with this cookie.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn session(&self, cookie: SecretHash) -> Result<Option<Session>, StoreError> {
        self.sessions.get(&cookie.to_key())
    }

    /// Notes that a login is used, to the minute. Not awaited to disk, and not noted where no change is taken.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn note_session_use(
        &self,
        cookie: SecretHash,
        session: &Session,
        now: u64,
    ) -> Result<(), StoreError> {
        let now = to_the_minute(now);
        if session.last_seen < now {
            let changed = self.sessions.change(&cookie.to_key(), |session| session.last_seen = now);
            Self::noted(changed.map(drop))?;
        }
        Ok(())
    }

    /// The account's logins, each with its id, the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn logins(&self, account: &str) -> Result<Vec<(String, Session)>, StoreError> {
        let mut own = self.sessions_of(account)?;
        own.sort_by_key(|(_, session)| std::cmp::Reverse(session.expires_at));
        Ok(own.into_iter().map(|(key, session)| (id_of(&key).to_owned(), session)).collect())
    }

    /// The id of the login with this cookie.
    pub fn login_id(cookie: SecretHash) -> String {
        id_of(&cookie.to_key()).to_owned()
    }

    /// Ends a login.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn close_session(&self, cookie: SecretHash) -> Result<(), StoreError> {
        self.sessions.remove(&cookie.to_key())?;
        self.flush().await
    }

    /// Ends the account's login with this id; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_login(&self, account: &str, id: &str) -> Result<bool, StoreError> {
        let mut ended = false;
        for (key, _) in self.sessions_of(account)? {
            if id_of(&key) == id {
                ended |= self.sessions.remove(&key)?;
            }
        }
        self.flush().await?;
        Ok(ended)
    }

    /// Ends the account's logins, but for one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_logins(&self, account: &str, keep: Option<SecretHash>) -> Result<(), StoreError> {
        for key in self.sessions_but(account, keep)? {
            self.sessions.remove(&key)?;
        }
        self.flush().await
    }

    /// The keys of the account's logins, but for one.
    pub(super) fn sessions_but(
        &self,
        account: &str,
        keep: Option<SecretHash>,
    ) -> Result<Vec<String>, StoreError> {
        let keep = keep.map(SecretHash::to_key);
        let keys = self.sessions_of(account)?.into_iter().map(|(key, _)| key);
        Ok(keys.filter(|key| Some(key) != keep.as_ref()).collect())
    }

    fn sessions_of(&self, account: &str) -> Result<Vec<(String, Session)>, StoreError> {
        let mut own = self.sessions.rows()?;
        own.retain(|(_, session)| session.account == account);
        Ok(own)
    }
}

/// Keys are plain letters and digits, longer than this.
fn id_of(key: &str) -> &str {
    key.get(..SESSION_ID).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maria(password_hash: &str) -> Account {
        Account { password_hash: password_hash.to_owned(), ..Account::maria() }
    }

    fn session(expires_at: u64) -> Session {
        Session { account: "maria".to_owned(), expires_at, ..Session::default() }
    }

    /// One person cannot fill the store with logins; the newest are kept.
    #[tokio::test]
    async fn an_account_has_a_bounded_number_of_logins() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.add_account(&maria("a"), &[]).await.unwrap();
        for number in 0..40 {
            let cookie = SecretHash::of(&number.to_string());
            assert!(store.log_in(&maria("a"), cookie, &session(number)).await.unwrap());
        }
        assert_eq!(store.logins("maria").unwrap().len(), 32);
        assert!(store.session(SecretHash::of("7")).unwrap().is_none());
        assert!(store.session(SecretHash::of("8")).unwrap().is_some());
    }

    /// A password that was right a moment ago must open nothing once it was changed or the account was disabled.
    #[tokio::test]
    async fn a_login_that_was_overtaken_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.add_account(&maria("a"), &[]).await.unwrap();
        let cookie = SecretHash::of("late");
        assert!(store.set_password(&maria("a"), "b", None).await.unwrap());
        assert!(!store.log_in(&maria("a"), cookie, &session(1)).await.unwrap());
        assert!(
            !store.set_password(&maria("a"), "c", None).await.unwrap(),
            "the old password changed it again"
        );
        assert!(store.log_in(&maria("b"), cookie, &session(1)).await.unwrap());
        assert!(store.set_disabled("maria", true).await.unwrap());
        assert!(store.session(cookie).unwrap().is_none());
        assert!(!store.log_in(&maria("b"), cookie, &session(1)).await.unwrap());
    }

    /// A request a second must not be a write a second.
    #[tokio::test]
    async fn the_last_use_is_kept_to_the_minute() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.add_account(&maria("a"), &[]).await.unwrap();
        let cookie = SecretHash::of("x");
        store.log_in(&maria("a"), cookie, &session(1)).await.unwrap();
        let used = |now| {
            let before = store.session(cookie).unwrap().unwrap();
            store.note_session_use(cookie, &before, now).unwrap();
            store.session(cookie).unwrap().unwrap().last_seen
        };
        assert_eq!([used(60_001), used(119_999), used(120_000)], [60_000, 60_000, 120_000]);
    }

    /// On a full disk people can look: that a use is not noted must fail no request.
    #[test]
    fn a_use_that_finds_no_room_is_not_noted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_keeping_free(folder.path(), u64::MAX).unwrap();
        store.note_session_use(SecretHash::of("x"), &session(1), 60_000).unwrap();
        let refused = store.sessions.put("x", &session(1));
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    }
}
