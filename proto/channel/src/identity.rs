//! One end's own papers: its certificate, its key and the authority it trusts. Read from and written to a directory;
//! the key of a device is the one that it made for its enrolment and is never written here.

use std::{
    io,
    path::{Path, PathBuf},
};

use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use x509_parser::parse_x509_certificate;

use crate::{
    file,
    peer::{Peer, PeerError},
    validity::{Validity, ValidityError},
};

/// The end's certificate.
const CERTIFICATE_FILE: &str = "channel-certificate.pem";
/// The pinned authority.
const CA_FILE: &str = "channel-ca.pem";

/// Why papers can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Not PEM.
    #[error("the {what} is not a PEM certificate: {source}")]
    Pem {
        /// Which of the two.
        what: &'static str,
        /// Where it breaks.
        source: rustls::pki_types::pem::Error,
    },
    /// The key could not be encoded.
    #[error("the device's key cannot be used for TLS: {0}")]
    Key(String),
    /// The certificate is for another key: a device was enrolled anew, or files were mixed.
    #[error(
        "the certificate of {0} is for another key than this device's; ask the control plane for a new one"
    )]
    OtherKey(Peer),
    /// It names nobody.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// It has no readable dates.
    #[error(transparent)]
    Validity(#[from] ValidityError),
}

/// One end's certificate, private key and pinned authority.
pub struct Identity {
    pub(crate) peer: Peer,
    pub(crate) validity: Validity,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) authority: CertificateDer<'static>,
}

impl Identity {
    /// A device's papers: what the control plane answered at enrolment (two PEM texts), and the device's own key.
    pub fn device(certificate: &str, key: &SigningKey, authority: &str) -> Result<Self, IdentityError> {
        let der = key.to_pkcs8_der().map_err(|error| IdentityError::Key(error.to_string()))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_bytes().to_vec()));
        let identity = Self::new(certificate, der, authority)?;
        let (_, parsed) = parse_x509_certificate(&identity.certificate)
            .map_err(|error| PeerError::Unreadable(error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.verifying_key().as_bytes() {
            return Err(IdentityError::OtherKey(identity.peer));
        }
        Ok(identity)
    }

    pub(crate) fn new(
        certificate: &str,
        key: PrivateKeyDer<'static>,
        authority: &str,
    ) -> Result<Self, IdentityError> {
        let parse = |what, pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes())
                .map_err(|source| IdentityError::Pem { what, source })
        };
        let certificate = parse("certificate", certificate)?;
        let authority = parse("authority's certificate", authority)?;
        Ok(Self {
            peer: Peer::from_certificate(&certificate)?,
            validity: Validity::of(&certificate)?,
            certificate,
            key,
            authority,
        })
    }

    /// Writes what the control plane answered, at enrolment or renewal. Each file is replaced whole.
    pub fn save_device(directory: &Path, certificate: &str, authority: &str) -> Result<(), IdentityError> {
        for (name, content) in [(CA_FILE, authority), (CERTIFICATE_FILE, certificate)] {
            let path = directory.join(name);
            file::replace(&path, content.as_bytes())
                .map_err(|source| IdentityError::File { path, source })?;
        }
        Ok(())
    }

    /// Reads what [`Identity::save_device`] wrote.
    pub fn load_device(directory: &Path, key: &SigningKey) -> Result<Self, IdentityError> {
        let read = |name| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).map_err(|source| IdentityError::File { path, source })
        };
        Self::device(&read(CERTIFICATE_FILE)?, key, &read(CA_FILE)?)
    }

    /// Whom the certificate names.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How long the certificate holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}
