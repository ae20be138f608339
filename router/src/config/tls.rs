//! A listener's certificate.

use std::path::PathBuf;

use ecep_tls::CertificateFiles;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file: the router's certificate, and after it those between it and an authority.
    pub certificate: PathBuf,
    /// A PEM file: its private key, without a password.
    pub key: PathBuf,
}

impl From<&TlsConfig> for CertificateFiles {
    fn from(tls: &TlsConfig) -> Self {
        Self { certificate: tls.certificate.clone(), key: tls.key.clone() }
    }
}
