//! How often somebody may try to log in, so that passwords cannot be guessed, and nobody can keep another out by guessing:
//!
//! - by address, so that many accounts cannot be tried from one;
//! - by account and address, so that one who guesses uses up only what is theirs;
//! - by account, over all browsers that never logged in to it, so that it cannot be guessed from many addresses;
//! - a browser that logged in to the account before (`known_browsers`) has a quota of its own, and none of the others
//!   counts for it: an account under attack from everywhere is still open to its owner's browser.
//!
//! An attempt counts when it begins, and is given back when it was right, so only wrong ones count.
//!
//! Owns the quotas and the memory behind them. Decides without a clock: the time is passed in, in milliseconds. Must not
//! know HTTP.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ecep_proto::network::network_of;

use crate::secret::SecretHash;

/// So many at once, and then one in each period.
#[derive(Debug, Clone, Copy)]
struct Quota {
    burst: u64,
    period_ms: u64,
}

/// An office may share one address.
const BY_ADDRESS: Quota = Quota { burst: 60, period_ms: 1_000 };
/// A person who mistypes notices nothing. Slow enough that one address takes a sixth of what the account has.
const BY_ACCOUNT_AND_ADDRESS: Quota = Quota { burst: 20, period_ms: 30_000 };
/// 12 wrong attempts a minute over the whole world: a password of 12 characters is not guessed in a lifetime.
const BY_ACCOUNT: Quota = Quota { burst: 100, period_ms: 5_000 };
/// Whoever steals the cookie of a known browser gets these guesses and no more.
const BY_BROWSER: Quota = Quota { burst: 20, period_ms: 30_000 };
/// Keys remembered of each kind, about 5 MB. Policy: when full, those that have recovered are forgotten; if it is still
/// full, all new keys share one quota, so a flood slows strangers and nobody who is known already.
const MAX_KEYS: usize = 50_000;

/// A quota for each key: the generic cell rate algorithm (ITU-T I.371). `governor` has it too, but cannot give back.
struct Quotas<K> {
    quota: Quota,
    max_keys: usize,
    /// When each key has its whole burst again. `None` is the key of all that found no room.
    whole_at: Mutex<HashMap<Option<K>, u64>>,
}

impl<K: Hash + Eq + Clone> Quotas<K> {
    fn new(quota: Quota, max_keys: usize) -> Self {
        Self { quota, max_keys, whole_at: Mutex::default() }
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long to wait.
    fn take(&self, now: u64, key: &K) -> Result<(), Duration> {
        let mut whole_at = self.lock();
        if whole_at.len() >= self.max_keys {
            whole_at.retain(|_, at| *at > now);
        }
        let own = Some(key.clone());
        let key = if whole_at.len() < self.max_keys || whole_at.contains_key(&own) { own } else { None };
        let at = whole_at.get(&key).copied().unwrap_or(now).max(now).saturating_add(self.quota.period_ms);
        let latest = now.saturating_add(self.quota.burst.saturating_mul(self.quota.period_ms));
        if at > latest {
            return Err(Duration::from_millis(at - latest));
        }
        whole_at.insert(key, at);
        Ok(())
    }

    /// Gives one back.
    fn give_back(&self, key: &K) {
        let mut whole_at = self.lock();
        if let Some(at) = whole_at.get_mut(&Some(key.clone())) {
            *at = at.saturating_sub(self.quota.period_ms);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<K>, u64>> {
        self.whole_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to log in.
#[derive(Debug, Clone)]
pub struct Attempt {
    address: IpAddr,
    account: String,
    browser: Option<String>,
}

impl Attempt {
    /// From this address, on the account of this e-mail address (which need not exist); by a browser that logged in to it
    /// before, if the name of one is given.
    pub fn new(address: IpAddr, email: &str, browser: Option<String>) -> Self {
        // Hashed, so that keys have one length whatever was typed.
        Self { address: network_of(address), account: SecretHash::of(email).to_key(), browser }
    }

    fn pair(&self) -> (String, IpAddr) {
        (self.account.clone(), self.address)
    }
}

/// Limits attempts to log in.
pub struct LoginLimits {
    addresses: Quotas<IpAddr>,
    pairs: Quotas<(String, IpAddr)>,
    accounts: Quotas<String>,
    browsers: Quotas<String>,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            addresses: Quotas::new(BY_ADDRESS, MAX_KEYS),
            pairs: Quotas::new(BY_ACCOUNT_AND_ADDRESS, MAX_KEYS),
            accounts: Quotas::new(BY_ACCOUNT, MAX_KEYS),
            browsers: Quotas::new(BY_BROWSER, MAX_KEYS),
        }
    }
}

impl LoginLimits {
    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait.
    pub fn begin(&self, now: u64, attempt: &Attempt) -> Result<(), Duration> {
        if let Some(browser) = &attempt.browser {
            return self.browsers.take(now, browser);
        }
        // The narrowest first, and what one quota refuses takes nothing from the others.
        let pair = attempt.pair();
        self.pairs.take(now, &pair)?;
        if let Err(wait) = self.addresses.take(now, &attempt.address) {
            self.pairs.give_back(&pair);
            return Err(wait);
        }
        self.accounts.take(now, &attempt.account).inspect_err(|_| {
            self.pairs.give_back(&pair);
            self.addresses.give_back(&attempt.address);
        })
    }

    /// The attempt was right, or could not be judged: it does not count.
    pub fn forgive(&self, attempt: &Attempt) {
        if let Some(browser) = &attempt.browser {
            return self.browsers.give_back(browser);
        }
        self.addresses.give_back(&attempt.address);
        self.pairs.give_back(&attempt.pair());
        self.accounts.give_back(&attempt.account);
    }

    /// The attempt on no account was right: it does not count.
    pub fn forgive_address(&self, address: IpAddr) {
        self.addresses.give_back(&network_of(address));
    }

    /// Counts an attempt from this address that is on no account.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_address(&self, now: u64, address: IpAddr) -> Result<(), Duration> {
        self.addresses.take(now, &network_of(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARIA: &str = "maria@example.org";

    fn stranger(n: u64, email: &str) -> Attempt {
        Attempt::new(IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]), email, None)
    }

    fn known(name: &str) -> Attempt {
        Attempt::new(IpAddr::from([10, 0, 0, 1]), MARIA, Some(name.to_owned()))
    }

    /// One who guesses from one address must keep out neither the owner, who comes from another one, nor others at it.
    #[test]
    fn one_address_keeps_nobody_else_out() {
        let limits = LoginLimits::default();
        let mut refused = None;
        for second in 0..3_600 {
            if let Err(wait) = limits.begin(second * 1_000, &stranger(1, MARIA)) {
                refused = Some(wait);
            }
            let neighbour = stranger(1, &format!("{second}"));
            assert_eq!(limits.begin(second * 1_000, &neighbour).err(), None, "at {second} s");
            limits.forgive(&neighbour);
            if second % 60 == 0 {
                assert_eq!(limits.begin(second * 1_000, &stranger(2, MARIA)).err(), None, "at {second} s");
            }
        }
        assert!(refused.is_some_and(|wait| wait <= Duration::from_secs(30)), "{refused:?}");
    }

    /// An account is guarded against guesses from ever new addresses too, its neighbours stay free, and a browser that
    /// logged in before gets in at once.
    #[test]
    fn an_account_under_attack_is_open_to_a_known_browser() {
        let limits = LoginLimits::default();
        let guesses = (0..1_000).filter(|n| limits.begin(0, &stranger(*n, MARIA)).is_ok()).count();
        assert_eq!(guesses as u64, BY_ACCOUNT.burst);
        assert!(limits.begin(0, &stranger(2_000, MARIA)).is_err());
        assert_eq!(limits.begin(0, &stranger(2_000, "other@example.org")), Ok(()));
        assert_eq!(limits.begin(0, &known("a")), Ok(()));
    }

    /// A stolen cookie must not be a way around the limits.
    #[test]
    fn a_known_browser_has_a_quota_too() {
        let limits = LoginLimits::default();
        let guesses = (0..100).filter(|_| limits.begin(0, &known("stolen")).is_ok()).count();
        assert_eq!(guesses as u64, BY_BROWSER.burst);
        assert_eq!(limits.begin(0, &known("other")), Ok(()));
    }

    /// Whoever logs in rightly all day is never refused.
    #[test]
    fn right_attempts_do_not_count() {
        let limits = LoginLimits::default();
        for attempt in [stranger(1, MARIA), known("a")] {
            for _ in 0..500 {
                assert_eq!(limits.begin(0, &attempt), Ok(()));
                limits.forgive(&attempt);
            }
        }
    }

    /// An address is limited over all accounts, and one IPv6 network counts as one address.
    #[test]
    fn an_address_is_limited_over_all_accounts() {
        let limits = LoginLimits::default();
        let from = |address: &str, email: &str| Attempt::new(address.parse().unwrap(), email, None);
        for n in 0..BY_ADDRESS.burst {
            assert_eq!(limits.begin(0, &from(&format!("2001:db8::{n:x}"), &n.to_string())), Ok(()));
        }
        assert!(limits.begin(0, &from("2001:db8::ffff:1", "x")).is_err());
        assert_eq!(limits.begin(0, &from("2001:db8:0:1::1", "x")), Ok(()));
        assert_eq!(limits.begin(1_000, &from("2001:db8::ffff:1", "x")), Ok(()));
    }

    /// A flood of keys must not grow the memory, and those that have recovered make room.
    #[test]
    fn memory_is_bounded() {
        let quotas = Quotas::new(BY_ACCOUNT_AND_ADDRESS, 10);
        let refused = (0..100).filter(|n: &i32| quotas.take(0, n).is_err()).count();
        assert!(quotas.lock().len() <= 11, "{}", quotas.lock().len());
        assert!(refused > 0, "strangers share one quota once the memory is full");
        assert_eq!(quotas.take(0, &3), Ok(()), "whoever is known keeps a quota of their own");
        let later = BY_ACCOUNT_AND_ADDRESS.burst * BY_ACCOUNT_AND_ADDRESS.period_ms;
        assert_eq!(quotas.take(later, &1_000), Ok(()));
    }
}
