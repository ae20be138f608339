//! How often somebody may try to log in: by account, so that one password cannot be guessed from many
//! addresses, and by address, so that many cannot be guessed from one.
//!
//! Owns the quotas and the memory behind them. Must not know HTTP.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};

use crate::secret::SecretHash;

/// Attempts on one account at once; afterwards one in `ACCOUNT_PERIOD`.
const ACCOUNT_BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// 12 attempts a minute: a person notices nothing, and a password of 12 characters is not guessed in a lifetime.
const ACCOUNT_PERIOD: Duration = Duration::from_secs(5);
/// Attempts from one address at once; afterwards one in `ADDRESS_PERIOD`. An office may share one address.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// One attempt a second.
const ADDRESS_PERIOD: Duration = Duration::from_secs(1);
/// Keys remembered by each limiter, about 5 MB. Policy: when full, those that have recovered are forgotten; if it
/// is still full, all new keys share one quota, so a flood slows strangers and nobody who is known already.
const MAX_KEYS: usize = 50_000;

/// A limiter with bounded memory.
struct Limiter<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<Option<K>>,
    clock: DefaultClock,
    max_keys: usize,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(burst: NonZeroU32, period: Duration, max_keys: usize) -> Self {
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            limiter: DefaultKeyedRateLimiter::keyed(quota.allow_burst(burst)),
            clock: DefaultClock::default(),
            max_keys,
        }
    }

    fn check(&self, key: K) -> Result<(), Duration> {
        if self.limiter.len() >= self.max_keys {
            self.limiter.retain_recent();
        }
        let key = (self.limiter.len() < self.max_keys).then_some(key);
        self.limiter.check_key(&key).map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

/// Limits attempts to log in.
#[derive(Clone)]
pub struct LoginLimits {
    accounts: Arc<Limiter<String>>,
    addresses: Arc<Limiter<IpAddr>>,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            accounts: Arc::new(Limiter::new(ACCOUNT_BURST, ACCOUNT_PERIOD, MAX_KEYS)),
            addresses: Arc::new(Limiter::new(ADDRESS_BURST, ADDRESS_PERIOD, MAX_KEYS)),
        }
    }
}

impl LoginLimits {
    /// Counts an attempt from this address on this account (which need not exist).
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, address: IpAddr, email: &str) -> Result<(), Duration> {
        self.check_address(address)?;
        // Hashed, so that keys have one length whatever was typed.
        self.accounts.check(SecretHash::of(email).to_key())
    }

    /// Counts an attempt from this address.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Duration> {
        self.addresses.check(network_of(address))
    }
}

/// Whoever has one IPv6 address usually has a /64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account is guarded also against guesses from ever new addresses, and its neighbours stay free.
    #[test]
    fn an_account_is_limited_over_all_addresses() {
        let limits = LoginLimits::default();
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        for n in 0..20 {
            assert_eq!(limits.check(address(n), "a@example.org"), Ok(()));
        }
        let wait = limits.check(address(99), "a@example.org").unwrap_err();
        assert!(wait <= ACCOUNT_PERIOD, "{wait:?}");
        assert_eq!(limits.check(address(99), "b@example.org"), Ok(()));
    }

    /// An address is limited over all accounts, and one IPv6 network counts as one address.
    #[test]
    fn an_address_is_limited_over_all_accounts() {
        let limits = LoginLimits::default();
        for n in 0..ADDRESS_BURST.get() {
            let address = format!("2001:db8::{n:x}").parse().unwrap();
            assert_eq!(limits.check(address, &n.to_string()), Ok(()));
        }
        assert!(limits.check("2001:db8::ffff:1".parse().unwrap(), "x").is_err());
        assert_eq!(limits.check("2001:db8:0:1::1".parse().unwrap(), "x"), Ok(()));
    }

    /// A flood of keys must not grow the memory.
    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::new(ACCOUNT_BURST, ACCOUNT_PERIOD, 10);
        let refused = (0..100).filter(|n| limiter.check(n.to_string()).is_err()).count();
        assert!(limiter.limiter.len() <= 11, "{}", limiter.limiter.len());
        assert!(refused > 0, "strangers share one quota once the memory is full");
    }
}
