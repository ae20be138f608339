//! Which servers a client believes, and how it connects to them.

use std::{io, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::ServerCertVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Fingerprint, refusal,
    verifier::{Pinned, Shown},
};

/// Handshakes take two round trips and some milliseconds of a small device's time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// PEM lines have this many characters (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// A client's trust.
#[derive(Debug, Clone)]
pub struct Trust(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Pinned(Arc<Pinned>),
    Shown(Arc<Shown>),
}

/// Why nobody can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There is no certificate in the text.
    #[error("there is no certificate in it (PEM, between BEGIN CERTIFICATE and END CERTIFICATE)")]
    Empty,
    /// It cannot be read.
    #[error("a certificate in it cannot be read: {0}")]
    Unreadable(String),
    /// The system has none.
    #[error(
        "this system has no list of authorities ({0}); install the package ca-certificates, or give the server's authority with --ca"
    )]
    NoSystem(String),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody can be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The host can be in no certificate.
    #[error("{0:?} is no name or address of a server")]
    Name(String),
    /// The server does not answer.
    #[error("no TLS handshake within {HANDSHAKE_TIMEOUT:?}")]
    Timeout,
    /// The server is not who it should be, or has gone.
    #[error("{0}")]
    Refused(String),
}

/// The cryptography of all our TLS.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Trust {
    /// The authorities of this system; read anew for each connection.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// These certificates alone, in PEM: authorities, or servers' own.
    ///
    /// # Errors
    /// There is none in the text, or one of them cannot be read.
    pub fn pinned(pem: &[u8]) -> Result<Self, TrustError> {
        let pins: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let pins = pins.map_err(|error| TrustError::Unreadable(error.to_string()))?;
        if pins.is_empty() {
            return Err(TrustError::Empty);
        }
        let pinned =
            Pinned::new(pins, provider()).map_err(|error| TrustError::Unreadable(error.to_string()))?;
        Ok(Self(Kind::Pinned(Arc::new(pinned))))
    }

    /// The certificate with this fingerprint alone, which the server must show: its own, or an authority's.
    pub fn fingerprint(fingerprint: Fingerprint) -> Self {
        Self(Kind::Shown(Arc::new(Shown::new(fingerprint, provider()))))
    }

    /// What is pinned, in PEM; nothing if that is not known yet, or the system is trusted.
    pub fn pins(&self) -> Option<String> {
        let pinned: &Pinned = match &self.0 {
            Kind::System => return None,
            Kind::Pinned(pinned) => pinned,
            Kind::Shown(shown) => shown.found()?,
        };
        Some(pinned.pins().iter().map(pem).collect())
    }

    /// Makes TLS over a connection to this host, and checks that it is that host's.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect<T>(&self, stream: T, host: &str) -> Result<TlsStream<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(plain.to_owned()).map_err(|_| ConnectError::Name(host.to_owned()))?;
        let connector = TlsConnector::from(Arc::new(self.config()?));
        match timeout(HANDSHAKE_TIMEOUT, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(ConnectError::Refused(refusal::sentence(&error))),
            Err(_) => Err(ConnectError::Timeout),
        }
    }

    fn config(&self) -> Result<ClientConfig, TrustError> {
        let unusable = |error: rustls::Error| TrustError::Unreadable(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let verifier: Arc<dyn ServerCertVerifier> = match &self.0 {
            Kind::System => return Ok(builder.with_root_certificates(system()?).with_no_client_auth()),
            Kind::Pinned(pinned) => Arc::clone(pinned) as _,
            Kind::Shown(shown) => Arc::clone(shown) as _,
        };
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

fn system() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems keep one or two that cannot be read; they sign nothing that others would not.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
        return Err(TrustError::NoSystem(why));
    }
    Ok(roots)
}

fn pem(certificate: &CertificateDer<'static>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(PEM_LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = others;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// What a connection that broke has to say.
impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Refused(refusal::sentence(&error))
    }
}
