//! How a browser shows that somebody logged in to an account with it before: a cookie that says so, authenticated with a
//! key of ours (OWASP, "device cookies" against password guessing). It opens nothing; it only gives the browser a quota
//! of attempts of its own. Nothing is stored for it.
//!
//! Must not know HTTP. Decides without a clock.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac, digest::Key};
use sha2::{Digest, Sha256};

use crate::secret::random_suffix;

/// How long a browser is known after a login, in seconds: half a year.
pub const KNOWN_SECONDS: u64 = 180 * 24 * 60 * 60;
/// Random characters that tell one browser from another.
const NAME: usize = 20;

/// Makes and judges the cookies.
pub struct KnownBrowsers {
    key: Hmac<Sha256>,
}

impl KnownBrowsers {
    /// With this secret.
    pub fn new(key: &str) -> Self {
        // A whole block, whose rest is zeros (RFC 2104, section 2); of any length by way of its hash.
        let mut block = Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(Sha256::digest(key.as_bytes())).for_each(|(byte, of_key)| *byte = of_key);
        Self { key: Hmac::new(&block) }
    }

    /// The cookie for a browser that has just logged in to the account of this e-mail address.
    pub fn cookie(&self, email: &str, now: u64) -> String {
        let name = random_suffix(NAME);
        let until = now / 1_000 + KNOWN_SECONDS;
        let proof = URL_SAFE_NO_PAD.encode(self.mac(email, &name, until).finalize().into_bytes());
        format!("{name}.{until}.{proof}")
    }

    /// The browser's name, if the cookie is good for the account of this e-mail address.
    pub fn name(&self, cookie: &str, email: &str, now: u64) -> Option<String> {
        let mut parts = cookie.splitn(3, '.');
        let (name, until, proof) = (parts.next()?, parts.next()?.parse::<u64>().ok()?, parts.next()?);
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        self.mac(email, name, until).verify_slice(&proof).ok()?;
        (until > now / 1_000).then(|| name.to_owned())
    }

    fn mac(&self, email: &str, name: &str, until: u64) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        // The address is last, since it may hold whatever was typed.
        mac.update(format!("known browser\n{name}\n{until}\n{email}").as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cookie must be good for its own account only, in its time, unchanged, and from us.
    #[test]
    fn a_cookie_is_good_for_its_own_account_in_its_time() {
        let browsers = KnownBrowsers::new("key");
        let cookie = browsers.cookie("maria@example.org", 1_000);
        let name = browsers.name(&cookie, "maria@example.org", 2_000).unwrap();
        assert!(cookie.starts_with(&name));
        assert_eq!(browsers.name(&cookie, "vera@example.org", 2_000), None);
        assert_eq!(browsers.name(&cookie, "maria@example.org", KNOWN_SECONDS * 1_000 + 1_000), None);
        assert_eq!(KnownBrowsers::new("other").name(&cookie, "maria@example.org", 2_000), None);
        let (_, rest) = cookie.split_once('.').unwrap();
        for forged in ["", "..", &format!("other.{rest}"), &cookie[..cookie.len() - 1], &format!("{cookie}A")]
        {
            assert_eq!(browsers.name(forged, "maria@example.org", 2_000), None, "{forged}");
        }
        assert_ne!(browsers.cookie("maria@example.org", 1_000), cookie, "each browser has its own name");
    }
}
