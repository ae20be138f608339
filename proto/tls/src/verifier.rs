//! Which certificates a client with pins believes: a pinned one itself, or what a pinned authority has signed. Name and
//! dates are checked in either case.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::Fingerprint;

/// None of the certificates that the server shows is the one that was asked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server shows no certificate with the fingerprint {0}: another server answers, or its certificate was replaced"
)]
pub(crate) struct NotShown(Fingerprint);

/// Believes pinned certificates.
#[derive(Debug)]
pub(crate) struct Pinned {
    pins: Vec<CertificateDer<'static>>,
    /// Those of them that are authorities.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    /// # Errors
    /// One of them is no certificate.
    pub(crate) fn new(
        pins: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for pin in &pins {
            let (_, certificate) =
                X509Certificate::from_der(pin).map_err(|_| CertificateError::BadEncoding)?;
            if certificate.is_ca() {
                roots.add(pin.clone())?;
            }
        }
        let authorities = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?,
            ),
        };
        Ok(Self { pins, authorities, provider })
    }

    /// The pins.
    pub(crate) fn pins(&self) -> &[CertificateDer<'static>] {
        &self.pins
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pins.contains(end_entity) {
            check_dates(end_entity, now)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes the certificate with a fingerprint, and what it has signed, once it is shown; from then on it is a pin.
#[derive(Debug)]
pub(crate) struct Shown {
    wanted: Fingerprint,
    found: OnceLock<Pinned>,
    provider: Arc<CryptoProvider>,
}

impl Shown {
    pub(crate) fn new(wanted: Fingerprint, provider: Arc<CryptoProvider>) -> Self {
        Self { wanted, found: OnceLock::new(), provider }
    }

    /// The certificate, once a server has shown it.
    pub(crate) fn found(&self) -> Option<&Pinned> {
        self.found.get()
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = || std::iter::once(end_entity).chain(intermediates);
        let wanted = shown().find(|certificate| Fingerprint::of(certificate) == self.wanted);
        let wanted =
            wanted.ok_or_else(|| CertificateError::Other(OtherError(Arc::new(NotShown(self.wanted)))))?;
        let pinned = Pinned::new(vec![wanted.clone().into_owned()], Arc::clone(&self.provider))?;
        let verified =
            pinned.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // It is the same each time.
        let _ = self.found.set(pinned);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let seconds =
        |time: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.try_into().unwrap_or(0)));
    let (begins, ends) =
        (seconds(parsed.validity().not_before.timestamp()), seconds(parsed.validity().not_after.timestamp()));
    if now < begins {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: begins }.into());
    }
    if now > ends {
        return Err(CertificateError::ExpiredContext { time: now, not_after: ends }.into());
    }
    Ok(())
}
