//! The cookies: their names, their attributes, and how they are found in a request.

use warp::http::{HeaderMap, HeaderValue, header};

use crate::known_browsers::KNOWN_SECONDS;

/// How long a login lasts, in seconds: a working day, so that a forgotten browser does not stay open.
pub(super) const SESSION_SECONDS: u64 = 12 * 60 * 60;

/// What is kept in a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The login.
    Session,
    /// That somebody logged in with this browser before.
    KnownBrowser,
}

impl Cookie {
    /// Browsers accept a `__Host-` cookie only with `Secure` and from the very host, so no neighbour can plant one.
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Cookie::Session, true) => "__Host-ecep",
            (Cookie::Session, false) => "ecep",
            (Cookie::KnownBrowser, true) => "__Host-ecep-known",
            (Cookie::KnownBrowser, false) => "ecep-known",
        }
    }

    fn seconds(self) -> u64 {
        match self {
            Cookie::Session => SESSION_SECONDS,
            Cookie::KnownBrowser => KNOWN_SECONDS,
        }
    }

    /// Its value in a request.
    pub(super) fn find(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == self.name(secure)).map(|(_, value)| value)
    }

    /// Sets it.
    pub(super) fn set(self, value: &str, secure: bool) -> Option<HeaderValue> {
        self.header_value(value, self.seconds(), secure)
    }

    /// Deletes it.
    pub(super) fn clear(self, secure: bool) -> Option<HeaderValue> {
        self.header_value("", 0, secure)
    }

    fn header_value(self, value: &str, max_age: u64, secure: bool) -> Option<HeaderValue> {
        let secure_attribute = if secure { "; Secure" } else { "" };
        HeaderValue::from_str(&format!(
            "{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure_attribute}",
            self.name(secure)
        ))
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cookie is found among others, and neither a plain one nor another passes for the protected one.
    #[test]
    fn finds_its_own_cookie_only() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; ecep-known=browser; ecep=plain"));
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-ecep=guarded"));
        assert_eq!(Cookie::Session.find(&headers, false), Some("plain"));
        assert_eq!(Cookie::Session.find(&headers, true), Some("guarded"));
        assert_eq!(Cookie::KnownBrowser.find(&headers, false), Some("browser"));
        assert_eq!(Cookie::KnownBrowser.find(&headers, true), None);
        assert_eq!(Cookie::Session.find(&HeaderMap::new(), false), None);
    }
}
