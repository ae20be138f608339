//! Who is at the other end: the cloud or one device. It is written into certificates as a URI name (which is read
//! back) and as a DNS name (which TLS compares with whom the caller meant to reach). Knows no keys and no sockets.

use std::fmt;

use ecep_proto::api::name::DeviceId;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// How a device's URI name begins.
const DEVICE_URI: &str = "ecep:device:";
/// The cloud's URI name.
const CLOUD_URI: &str = "ecep:cloud";
/// Reserved for private use by ICANN: it can never be somebody's host.
const CLOUD_DNS: &str = "cloud.ecep.internal";
/// As [`CLOUD_DNS`]; a device id is one DNS label.
const DEVICE_DNS_SUFFIX: &str = ".device.ecep.internal";

/// One end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The control plane's end.
    Cloud,
    /// A device's agent.
    Device(DeviceId),
}

/// Why a certificate names nobody.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Not X.509.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// No URI name of ours, or several.
    #[error("the certificate names no device: it must hold exactly one name that begins with \"ecep:\"")]
    NoName,
    /// A URI name of ours that is no device id.
    #[error("the certificate's name {0:?} is neither the cloud nor a device")]
    BadName(String),
}

impl Peer {
    /// The name in certificates that says who it is (RFC 5280, subject alternative name, URI).
    pub fn uri(&self) -> String {
        match self {
            Self::Cloud => CLOUD_URI.to_owned(),
            Self::Device(id) => format!("{DEVICE_URI}{id}"),
        }
    }

    /// The name in certificates that TLS checks against whom the caller meant to reach.
    pub fn dns_name(&self) -> String {
        match self {
            Self::Cloud => CLOUD_DNS.to_owned(),
            Self::Device(id) => format!("{id}{DEVICE_DNS_SUFFIX}"),
        }
    }

    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, PeerError> {
        let name = self.dns_name();
        DnsName::try_from(name.clone()).map(ServerName::DnsName).map_err(|_| PeerError::BadName(name))
    }

    /// Reads the name out of a certificate. Only of one whose chain was verified does it mean anything.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, PeerError> {
        let unreadable = |error: String| PeerError::Unreadable(error);
        let (_, parsed) =
            parse_x509_certificate(certificate).map_err(|error| unreadable(error.to_string()))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or(PeerError::NoName)?;
        let mut ours = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("ecep:") => Some(*uri),
            _ => None,
        });
        match (ours.next(), ours.next()) {
            (Some(uri), None) => Self::from_uri(uri),
            _ => Err(PeerError::NoName),
        }
    }

    /// The public key that a certificate is for: the bytes of an Ed25519 key.
    pub(crate) fn key_of_certificate(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, PeerError> {
        let (_, parsed) =
            parse_x509_certificate(certificate).map_err(|error| PeerError::Unreadable(error.to_string()))?;
        Ok(parsed.public_key().subject_public_key.data.to_vec())
    }

    fn from_uri(uri: &str) -> Result<Self, PeerError> {
        if uri == CLOUD_URI {
            return Ok(Self::Cloud);
        }
        uri.strip_prefix(DEVICE_URI)
            .and_then(|id| id.parse().ok())
            .map(Self::Device)
            .ok_or_else(|| PeerError::BadName(uri.to_owned()))
    }

    /// The device's id, if it is a device.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Cloud => None,
            Self::Device(id) => Some(id),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloud => f.write_str("the cloud"),
            Self::Device(id) => write!(f, "device {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crafted name must never become a device.
    #[test]
    fn reads_only_well_formed_names() {
        for bad in
            ["ecep:", "ecep:device:", "ecep:device:A", "ecep:device:a/b", "ecep:clouds", "ecep:cloud:x"]
        {
            assert!(Peer::from_uri(bad).is_err(), "{bad} was accepted");
        }
        for peer in [Peer::Cloud, Peer::Device("edge-1".parse().unwrap())] {
            assert_eq!(Peer::from_uri(&peer.uri()).unwrap(), peer);
        }
    }
}
