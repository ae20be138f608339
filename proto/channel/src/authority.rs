//! The private certificate authority: made once by the control plane, kept in two files. It certifies keys that
//! devices made themselves and never saw a private one of theirs. Knows nothing of accounts or enrolment: whoever
//! calls [`Authority::issue`] has already proven that the key belongs to the device.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ecep_proto::api::name::DeviceId;
use ed25519_dalek::VerifyingKey;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SignatureAlgorithm, string::Ia5String,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use time::OffsetDateTime;

use crate::{
    file,
    identity::{Identity, IdentityError},
    peer::Peer,
    validity::{CA_VALIDITY, LEAF_VALIDITY, Validity},
};

/// The CA's certificate, which everybody may have.
const CERTIFICATE_FILE: &str = "channel-ca.pem";
/// The CA's key, mode 0600.
const KEY_FILE: &str = "channel-ca.key";

/// Why the authority could not do something.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of the authority.
    #[error("the certificate authority's file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// One of the two files is there without the other: making a new authority would shut out every device.
    #[error(
        "{} is there but {} is missing: restore it from the backup; a new authority would shut out every enrolled device",
        present.display(), missing.display()
    )]
    Half {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// The contents of a file, or a certificate that could not be made.
    #[error("certificate authority: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate just made could not be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The authority. One for each installation.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A device's public key, as certificates hold it.
struct DeviceKey<'a>(&'a VerifyingKey);

impl PublicKeyData for DeviceKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl Authority {
    /// Loads the authority from `directory`, or makes it on the first start.
    pub fn load_or_create(directory: &Path, now: SystemTime) -> Result<Self, AuthorityError> {
        let (certificate, key) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        match (certificate.exists(), key.exists()) {
            (true, true) => Self::load(&certificate, &key),
            (false, false) => Self::create(&certificate, &key, now),
            (true, false) => Err(AuthorityError::Half { present: certificate, missing: key }),
            (false, true) => Err(AuthorityError::Half { present: key, missing: certificate }),
        }
    }

    fn create(certificate_file: &Path, key_file: &Path, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = params("ECEP channel CA", Validity::issued(now, CA_VALIDITY));
        // No intermediates: what it signs cannot sign.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        file::create_secret(key_file, key.serialize_pem().as_bytes()).map_err(at(key_file))?;
        file::replace(certificate_file, certificate.as_bytes()).map_err(at(certificate_file))?;
        tracing::info!(file = %certificate_file.display(), "made the channel's certificate authority");
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, AuthorityError> {
        let certificate = std::fs::read_to_string(certificate_file).map_err(at(certificate_file))?;
        let key = file::read_secret(key_file).map_err(at(key_file))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?;
        Ok(Self { issuer, certificate })
    }

    /// The authority's own certificate, PEM: what a device pins at enrolment.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Certifies a device's key, PEM. Called at enrolment and again for every renewal
    /// ([`Validity::renewal_is_due`]); an earlier certificate stays valid until it expires.
    pub fn issue(
        &self,
        device: &DeviceId,
        key: &VerifyingKey,
        now: SystemTime,
    ) -> Result<String, AuthorityError> {
        self.issue_lasting(&Peer::Device(device.clone()), &DeviceKey(key), now, LEAF_VALIDITY)
    }

    /// The cloud's own end, with a fresh key that lives in this process only: issue it at every start and whenever
    /// its renewal is due.
    pub fn cloud(&self, now: SystemTime) -> Result<Identity, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let certificate = self.issue_lasting(&Peer::Cloud, &key, now, LEAF_VALIDITY)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Identity::new(&certificate, key, &self.certificate)?)
    }

    fn issue_lasting(
        &self,
        peer: &Peer,
        key: &impl PublicKeyData,
        now: SystemTime,
        lasting: Duration,
    ) -> Result<String, AuthorityError> {
        let mut validity = Validity::issued(now, lasting);
        // Never beyond the authority's own end, or the chain would fail before the leaf says so.
        if let Ok(own) = CertificateDer::from_pem_slice(self.certificate.as_bytes())
            && let Ok(own) = Validity::of(&own)
        {
            validity.not_after = validity.not_after.min(own.not_after);
        }
        let mut params = params(&peer.uri(), validity);
        params.subject_alt_names = vec![
            SanType::URI(Ia5String::try_from(peer.uri())?),
            SanType::DnsName(Ia5String::try_from(peer.dns_name())?),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A device is the server of a direct migration and the client of everything else.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer)?;
        tracing::info!(%peer, not_after = validity.not_after, "certificate issued");
        Ok(certificate.pem())
    }
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(validity.not_before);
    params.not_after = date(validity.not_after);
    params
}

fn date(seconds: u64) -> OffsetDateTime {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn at(path: &Path) -> impl Fn(io::Error) -> AuthorityError + '_ {
    move |source| AuthorityError::File { path: path.to_owned(), source }
}
