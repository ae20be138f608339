//! Which web pages may come: a browser lets any page open a WebSocket to anywhere, and says only whose page it is
//! (`Origin`, RFC 6454). Must not know how the header comes.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::uri::Authority;

/// Pages that may come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum AllowedOrigin {
    /// All of them.
    Any,
    /// Those of this machine, on any port, and of no name that somebody else could have pointed here.
    Loopback,
    /// Those of one origin.
    Of(Origin),
}

/// Scheme, host and port of a page, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// As it is said, or else the scheme's.
    port: Option<u16>,
}

impl AllowedOrigin {
    /// Whether a page of that origin may come to the host that it names.
    pub(crate) fn allow(allowed: &[Self], origin: &str, host: Option<&str>) -> bool {
        if allowed.contains(&Self::Any) {
            return true;
        }
        let Some(origin) = Origin::parse(origin) else { return false };
        let is_listed = allowed.iter().any(|allowed| match allowed {
            Self::Any => true,
            Self::Loopback => origin.is_loopback(),
            Self::Of(known) => *known == origin,
        });
        is_listed || (!allowed.contains(&Self::Loopback) && host.is_some_and(|host| origin.is_at(host)))
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        // Anything after the port, or a user before the host, is no part of an origin.
        let only =
            |authority: &Authority| text.len() == scheme.len() + "://".len() + authority.as_str().len();
        let authority = uri
            .authority()
            .filter(|authority| only(authority) && !authority.as_str().contains(['@', '*']))?;
        let port = authority.port_u16().or_else(|| default_port(&scheme));
        Some(Self { host: authority.host().to_ascii_lowercase(), scheme, port })
    }

    fn is_loopback(&self) -> bool {
        let host = self.host.as_str();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
            || host == "localhost"
            || host.ends_with(".localhost")
    }

    /// Whether `Host` says the same. Without a port it has that of the page's scheme: a proxy may have taken TLS off.
    fn is_at(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let port = authority.port_u16().or_else(|| default_port(&self.scheme));
        authority.host().eq_ignore_ascii_case(&self.host) && port == self.port
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl TryFrom<String> for AllowedOrigin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "*" => Ok(Self::Any),
            "loopback" => Ok(Self::Loopback),
            origin => Origin::parse(origin).map(Self::Of).ok_or_else(|| {
                format!(
                    "{text:?} is no origin: write scheme, host and, if it is not the scheme's own, port, such as \
                     https://dashboard.example or http://10.0.0.1:8080, and nothing after it; or loopback, or *"
                )
            }),
        }
    }
}

/// As it is read.
impl From<AllowedOrigin> for String {
    fn from(allowed: AllowedOrigin) -> Self {
        match allowed {
            AllowedOrigin::Any => "*".to_owned(),
            AllowedOrigin::Loopback => "loopback".to_owned(),
            AllowedOrigin::Of(origin) => origin.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        write!(f, "{scheme}://{host}")?;
        match port {
            Some(port) if Some(*port) != default_port(scheme) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests {
    use super::*;

    fn allowed(texts: &[&str]) -> Vec<AllowedOrigin> {
        texts.iter().map(|text| AllowedOrigin::try_from((*text).to_owned()).unwrap()).collect()
    }

    /// A page comes in only if it is of an origin that may, whatever its address looks like.
    #[test]
    fn pages() {
        let listed = ["https://dashboard.example", "http://10.0.0.1:8080"];
        for (list, origin, host, may) in [
            (&listed[..], "https://dashboard.example", "router.example", true),
            (&listed, "https://dashboard.example:443", "router.example", true),
            (&listed, "https://Dashboard.Example", "router.example", true),
            (&listed, "http://dashboard.example", "router.example", false),
            (&listed, "https://dashboard.example:8443", "router.example", false),
            (&listed, "https://dashboard.example.evil.example", "router.example", false),
            (&listed, "https://evil.example/https://dashboard.example", "router.example", false),
            (&listed, "https://dashboard.example@evil.example", "router.example", false),
            (&listed, "http://10.0.0.1:8080", "10.0.0.1:8081", true),
            (&listed, "http://10.0.0.1:8082", "10.0.0.1:8081", false),
            (&listed, "http://10.0.0.1:8081", "10.0.0.1:8081", true),
            (&listed, "null", "router.example", false),
            (&listed, "", "", false),
            (&[], "https://router.example", "router.example", true),
            (&[], "https://ROUTER.example", "router.EXAMPLE:443", true),
            (&[], "http://router.example", "router.example:443", false),
            (&[], "https://router.example:8443", "router.example", false),
            (&[], "https://router.example@evil.example", "router.example", false),
            (&[], "http://localhost:8080", "127.0.0.1:8080", false),
            (&["loopback"], "http://localhost:3000", "127.0.0.1:8080", true),
            (&["loopback"], "http://app.localhost", "127.0.0.1:8080", true),
            (&["loopback"], "https://127.8.8.8:1", "127.0.0.1:8080", true),
            (&["loopback"], "http://[::1]:3000", "127.0.0.1:8080", true),
            (&["loopback"], "http://notlocalhost", "127.0.0.1:8080", false),
            (&["loopback"], "http://127.0.0.1.evil.example", "127.0.0.1:8080", false),
            (&["loopback"], "http://evil.example:8080", "evil.example:8080", false),
            (&["*"], "null", "router.example", true),
        ] {
            let list = allowed(list);
            assert_eq!(AllowedOrigin::allow(&list, origin, Some(host)), may, "{list:?} {origin} {host}");
        }
        assert!(!AllowedOrigin::allow(&[], "http://router.example", None));
    }

    /// What can never be the origin of a page is a mistake, and not a rule that never holds; the rest is printed as it was.
    #[test]
    fn texts() {
        for wrong in [
            "",
            "**",
            "null",
            "dashboard.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://*.a",
            "https://a b",
        ] {
            assert!(AllowedOrigin::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for text in ["*", "loopback", "https://a.example", "http://[::1]:8080"] {
            assert_eq!(String::from(allowed(&[text]).remove(0)), text);
        }
    }
}
