//! A server's certificate and its key: read from files, and checked before anybody is served with them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use crate::Fingerprint;

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the server's certificate, and after it those between it and an authority.
    pub certificate: PathBuf,
    /// PEM: the key of the first of them, without a password.
    pub key: PathBuf,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The disk says no.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is nothing of the kind in the file.
    #[error("{} holds no {what} in PEM: {reason}", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
        /// What is.
        reason: String,
    },
    /// They are not a pair, or of a kind that is not supported.
    #[error("{} and {} cannot be used together: {reason}", certificate.display(), key.display())]
    NoPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its time is over.
    #[error("the certificate in {} has ended on {ended}; no client would accept it", path.display())]
    Ended {
        /// Which file.
        path: PathBuf,
        /// When.
        ended: String,
    },
}

/// A certificate that can be served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) key: Arc<CertifiedKey>,
    ends: ASN1Time,
}

impl Served {
    /// Reads and checks them. Blocks for two small files.
    pub(crate) fn read(
        files: &CertificateFiles,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let chain = chain(&files.certificate)?;
        let not_pem = |reason: String| CertificateError::NotPem {
            path: files.key.clone(),
            what: "private key",
            reason,
        };
        let key =
            PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|error| not_pem(error.to_string()))?;
        let no_pair = |reason: String| CertificateError::NoPair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            reason,
        };
        let ends = match X509Certificate::from_der(chain.first().map_or(&[], |first| first.as_ref())) {
            Ok((_, certificate)) => certificate.validity().not_after,
            Err(error) => return Err(no_pair(error.to_string())),
        };
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| no_pair(error.to_string()))?;
        Ok(Self { key: Arc::new(key), ends })
    }

    /// When it ends, for people, if that is before now.
    pub(crate) fn ended(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let is_over = i64::try_from(now).is_ok_and(|now| now > self.ends.timestamp());
        is_over.then(|| self.ends())
    }

    /// When it ends, for people.
    pub(crate) fn ends(&self) -> String {
        self.ends.to_string()
    }

    /// The fingerprint of the certificate that is nearest to the authority: the server's own if it stands alone.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.key.cert.last().map(Fingerprint::of)
    }
}

/// All certificates of a PEM file, at least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let not_pem =
        |reason: String| CertificateError::NotPem { path: path.to_owned(), what: "certificate", reason };
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| not_pem(error.to_string()))?;
    if chain.is_empty() {
        return Err(not_pem("nothing between BEGIN CERTIFICATE and END CERTIFICATE".to_owned()));
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| CertificateError::Read { path: path.to_owned(), error })
}
