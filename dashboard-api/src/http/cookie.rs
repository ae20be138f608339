//! The session cookie: its name, its attributes, and how it is found in a request.

use warp::http::{HeaderMap, HeaderValue, header};

/// How long a login lasts, in seconds: a working day, so that a forgotten browser does not stay open.
pub(super) const SESSION_SECONDS: u64 = 12 * 60 * 60;

/// Browsers accept a `__Host-` cookie only with `Secure` and from the very host, so no neighbour can plant one.
fn name(secure: bool) -> &'static str {
    if secure { "__Host-ecep" } else { "ecep" }
}

/// The value of the session cookie in a request.
pub(super) fn find(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name(secure)).map(|(_, value)| value)
}

/// Sets the cookie.
pub(super) fn set(value: &str, secure: bool) -> Option<HeaderValue> {
    header_value(value, SESSION_SECONDS, secure)
}

/// Deletes the cookie.
pub(super) fn clear(secure: bool) -> Option<HeaderValue> {
    header_value("", 0, secure)
}

fn header_value(value: &str, max_age: u64, secure: bool) -> Option<HeaderValue> {
    let secure_attribute = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure_attribute}",
        name(secure)
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cookie is found among others, and a plain one never passes for the protected one.
    #[test]
    fn finds_its_own_cookie_only() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; ecep=plain"));
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-ecep=guarded"));
        assert_eq!(find(&headers, false), Some("plain"));
        assert_eq!(find(&headers, true), Some("guarded"));
        assert_eq!(find(&HeaderMap::new(), false), None);
    }
}
