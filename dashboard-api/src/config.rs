//! The settings of the control plane, parsed once at the start.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use ecep_proto::api::file::MAX_STORED_BYTES;
use ecep_tls::CertificateFiles;
use warp::http::Uri;

use crate::{
    artifacts::{DEFAULT_KEEP_FREE_BYTES, DEFAULT_QUOTA_BYTES},
    subnets::Pool,
};

/// Bytes of stored files that a tenant may have, unless the settings say otherwise: two of the largest.
pub const STORED_BYTES: u64 = 2 * MAX_STORED_BYTES;

/// All settings.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The folder for everything that must be kept. Made if it is missing; only this user can look into it.
    #[arg(long, env = "ECEP_API_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// An address and port to listen on, such as 127.0.0.1:8080. May be given more than once.
    #[arg(long, env = "ECEP_API_LISTEN", value_name = "ADDR", required = true, value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,
    /// A PEM file with the certificate to listen with, and after it those between it and an authority. Browsers and devices
    /// must then come by https. It is read again on SIGHUP and when it changes.
    #[arg(long, env = "ECEP_API_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with its private key.
    #[arg(long, env = "ECEP_API_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// The WAMP router's address for the control plane itself.
    #[arg(long, env = "ECEP_API_ROUTER", value_name = "URL")]
    pub router: WampUrl,
    /// A PEM file with the authority that certifies the router, where its address begins with wss://; the system's
    /// authorities without it.
    #[arg(long, env = "ECEP_API_ROUTER_CA", value_name = "FILE")]
    pub router_ca: Option<PathBuf>,
    /// A file with the ticket that the router knows the control plane by.
    #[arg(long, env = "ECEP_API_ROUTER_TICKET_FILE", value_name = "FILE")]
    pub router_ticket_file: PathBuf,
    /// The WAMP router's address as browsers reach it.
    #[arg(long, env = "ECEP_API_WAMP_URL", value_name = "URL")]
    pub wamp_url: WampUrl,
    /// The WAMP router's address as devices reach it.
    #[arg(long, env = "ECEP_API_DEVICE_WAMP_URL", value_name = "URL")]
    pub device_wamp_url: WampUrl,
    /// The dashboard's address as browsers reach it, if a proxy stands before it. With https, cookies are sent
    /// over TLS only.
    #[arg(long, env = "ECEP_API_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// The address of a proxy that stands before the dashboard and names its clients in X-Forwarded-For. May be given
    /// more than once. Without it everybody behind the proxy shares one address, and what it may try.
    #[arg(long, env = "ECEP_API_TRUSTED_PROXY", value_name = "ADDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<IpAddr>,
    /// The addresses from which each tenant's network is taken. No device's own network may lie in it.
    #[arg(long, env = "ECEP_API_ADDRESS_POOL", value_name = "NET", default_value = "10.192.0.0/10")]
    pub address_pool: Pool,
    /// An address and port for the agents' channels, which carry migrations between devices that cannot reach each
    /// other. May be given more than once; without it only devices of one site can move containers to each other.
    #[arg(long, env = "ECEP_API_CHANNEL_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub channel_listen: Vec<SocketAddr>,
    /// Where devices reach that, as host:port.
    #[arg(long, env = "ECEP_API_DEVICE_CHANNEL", value_name = "HOST:PORT")]
    pub device_channel: Option<String>,
    /// How many bytes of files and logs that its devices brought each tenant may have here.
    #[arg(long, env = "ECEP_API_STORED_BYTES", value_name = "BYTES", default_value_t = STORED_BYTES)]
    pub stored_bytes: u64,
    /// Bytes of artifacts that each tenant may have.
    #[arg(long, env = "ECEP_API_ARTIFACT_QUOTA", value_name = "BYTES", default_value_t = DEFAULT_QUOTA_BYTES)]
    pub artifact_quota: u64,
    /// Bytes of the data folder's disk that uploads leave free.
    #[arg(long, env = "ECEP_API_KEEP_FREE", value_name = "BYTES", default_value_t = DEFAULT_KEEP_FREE_BYTES)]
    pub keep_free: u64,
    /// An address and port for Prometheus: `/metrics` is served there to whoever asks. Without it there is none.
    #[arg(long, env = "ECEP_API_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
}

impl Config {
    /// The certificate to listen with.
    pub fn certificate(&self) -> Option<CertificateFiles> {
        let (certificate, key) = self.tls_certificate.clone().zip(self.tls_key.clone())?;
        Some(CertificateFiles { certificate, key })
    }

    /// Whether browsers reach us over TLS, ours or a proxy's.
    pub fn is_secure(&self) -> bool {
        self.tls_certificate.is_some() || self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address like {example}")]
pub struct UrlError {
    text: String,
    example: &'static str,
}

/// A router's address: `ws://` or `wss://`, host, port and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WampUrl {
    text: String,
    origin: String,
}

impl WampUrl {
    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with("wss://")
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl FromStr for WampUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let origin = origin(text, &["ws", "wss"], "ws://router.example.org:8081/ws")?;
        Ok(Self { text: text.to_owned(), origin })
    }
}

/// Where browsers find the dashboard: `http://` or `https://`, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
}

impl PublicUrl {
    /// Scheme, host and port, as a browser sends them in `Origin`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether browsers come over TLS.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        Ok(Self { origin: origin(text, &["http", "https"], "https://dashboard.example.org")? })
    }
}

fn origin(text: &str, schemes: &[&str], example: &'static str) -> Result<String, UrlError> {
    let wrong = || UrlError { text: text.to_owned(), example };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|scheme| schemes.contains(scheme)).ok_or_else(wrong)?;
    let authority = uri.authority().ok_or_else(wrong)?.as_str();
    // The origin becomes part of the content security policy: only what a host and port are made of.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if authority.is_empty() || !authority.chars().all(plain) {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{}", authority.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A typing error must stop the start, with an example of what is right.
    #[test]
    fn wrong_addresses_are_refused_with_an_example() {
        for bad in ["", "router", "http://router", "ws://", "ws://user@host", "ws://a b", "ws://a;b/"] {
            let error = bad.parse::<WampUrl>().unwrap_err().to_string();
            assert!(error.contains("ws://router.example.org"), "{bad}: {error}");
        }
        assert!("ws://host".parse::<PublicUrl>().is_err());
    }

    /// The origin goes into a header: it must be scheme, host and port and nothing else.
    #[test]
    fn the_origin_is_scheme_host_and_port() {
        let url: WampUrl = "wss://Router.example:8443/ws?x=1".parse().unwrap();
        assert_eq!(url.origin(), "wss://router.example:8443");
        assert_eq!(url.as_str(), "wss://Router.example:8443/ws?x=1");
        assert_eq!("ws://[::1]:9/".parse::<WampUrl>().unwrap().origin(), "ws://[::1]:9");
        assert!("https://x/".parse::<PublicUrl>().unwrap().is_https());
    }
}
