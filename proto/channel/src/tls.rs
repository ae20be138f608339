//! TLS 1.3 with certificates at both ends, one pinned authority, and no way to switch verification off. Who the peer is
//! comes from its verified certificate; the caller of a connection says whom it means, and anyone else is refused.

use std::{sync::Arc, time::Duration};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    time_provider::{DefaultTimeProvider, TimeProvider},
    version::TLS13,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{
    identity::Identity,
    peer::{Peer, PeerError},
    validity::{Validity, ValidityError, rfc3339},
};

/// The name of this protocol and its version (RFC 7301): a change that an older end could not read gets a new one.
const ALPN: &[u8] = b"ecep-channel/1";
/// A handshake on a slow link with a slow CPU takes a second or two.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a refused handshake the caller's bytes are read away this long, so that it gets our alert and not a reset.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// At most this much is read away.
const DRAIN_BYTES: u64 = 64 * 1024;

/// Why two ends did not come together.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Our own certificate does not hold now.
    #[error(transparent)]
    Own(#[from] ValidityError),
    /// The peer's certificate does not hold by our clock.
    #[error(
        "the peer's certificate holds from or until {bound}, but this machine's clock says {clock}: one of them is wrong; \
             set the clock (for example by an NTP client), or renew the peer's certificate"
    )]
    PeerValidity {
        /// Our clock, RFC 3339.
        clock: String,
        /// The end of the certificate's time that was passed or not reached, RFC 3339.
        bound: String,
    },
    /// The peer refused our certificate for its dates.
    #[error(
        "the peer says that our certificate does not hold now: compare the clocks of both machines, or renew the certificate"
    )]
    OwnRefusedByDate,
    /// Signed by somebody else.
    #[error(
        "the peer's certificate is not of our authority: another installation answered, or somebody is in between"
    )]
    Untrusted,
    /// The peer does not know our authority.
    #[error(
        "the peer does not accept our certificate: it belongs to another installation, or the device must be enrolled anew"
    )]
    OwnUntrusted,
    /// Somebody else of the same authority.
    #[error("reached somebody else than {expected}")]
    WrongPeer {
        /// Who was meant.
        expected: Peer,
    },
    /// A verified certificate that names nobody.
    #[error(transparent)]
    Name(#[from] PeerError),
    /// Took too long.
    #[error(
        "no TLS handshake within {HANDSHAKE_TIMEOUT:?}: the peer is overloaded, or speaks something else"
    )]
    Timeout,
    /// Everything else of TLS.
    #[error("TLS: {0}")]
    Protocol(rustls::Error),
    /// The connection below.
    #[error("the connection broke during the TLS handshake: {0}")]
    Io(std::io::Error),
    /// Our own papers.
    #[error("these certificates cannot be used: {0}")]
    Papers(String),
}

/// One end's settings, for both roles. Make a new one when the certificate is renewed; standing channels go on.
#[derive(Clone)]
pub struct Tls {
    own: Peer,
    validity: Validity,
    clock: Arc<dyn TimeProvider>,
    client: TlsConnector,
    server: TlsAcceptor,
}

impl Tls {
    /// By the machine's clock.
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        Self::with_clock(identity, Arc::new(DefaultTimeProvider))
    }

    /// By another clock: one that is known to be better, or a test's.
    pub fn with_clock(identity: &Identity, clock: Arc<dyn TimeProvider>) -> Result<Self, TlsError> {
        let papers = |error: &dyn std::fmt::Display| TlsError::Papers(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority.clone()).map_err(|error| papers(&error))?;
        let roots = Arc::new(roots);
        let chain = vec![identity.certificate.clone()];

        let mut client = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&clock))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| papers(&error))?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), identity.key.clone_key())
            .map_err(|error| papers(&error))?;
        client.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would skip the look at the certificate's dates.
        client.resumption = Resumption::disabled();

        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| papers(&error))?;
        let mut server = ServerConfig::builder_with_details(provider, Arc::clone(&clock))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| papers(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, identity.key.clone_key())
            .map_err(|error| papers(&error))?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        Ok(Self {
            own: identity.peer.clone(),
            validity: identity.validity,
            clock,
            client: TlsConnector::from(Arc::new(client)),
            server: TlsAcceptor::from(Arc::new(server)),
        })
    }

    /// Whom our own certificate names.
    pub fn own(&self) -> &Peer {
        &self.own
    }

    /// Whether the certificate should be renewed now.
    pub fn renewal_is_due(&self) -> bool {
        self.clock.current_time().is_some_and(|now| self.validity.renewal_is_due(now))
    }

    fn check_own(&self) -> Result<(), TlsError> {
        match self.clock.current_time() {
            Some(now) => Ok(self.validity.check(now)?),
            None => Ok(()),
        }
    }

    /// The calling end. Whether the peer accepts *our* certificate shows only in the first bytes that it sends.
    pub(crate) async fn connect<T>(&self, io: T, expected: &Peer) -> Result<TlsStream<T>, TlsError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.check_own()?;
        let handshake = self.client.connect(expected.server_name()?, io);
        let stream = timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .map_err(|_| TlsError::Timeout)?
            .map_err(|error| from_io(error, Some(expected)))?;
        let found = peer_of(stream.get_ref().1.peer_certificates())?;
        if found != *expected {
            return Err(TlsError::WrongPeer { expected: expected.clone() });
        }
        Ok(stream.into())
    }

    /// The called end: anyone with a certificate of our authority, who it is, and by which key.
    pub(crate) async fn accept<T>(&self, io: T) -> Result<(TlsStream<T>, Peer, Vec<u8>), TlsError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.check_own()?;
        let handshake = self.server.accept(io).into_fallible();
        match timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| TlsError::Timeout)? {
            Ok(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let (peer, key) = (peer_of(certificates)?, key_of(certificates)?);
                Ok((stream.into(), peer, key))
            }
            Err((error, mut io)) => {
                // What becomes of this is not our concern: the handshake has failed already.
                let drain = async {
                    io.shutdown().await?;
                    tokio::io::copy(&mut io.take(DRAIN_BYTES), &mut tokio::io::sink()).await
                };
                drop(timeout(DRAIN_TIMEOUT, drain).await);
                Err(from_io(error, None))
            }
        }
    }
}

fn key_of(certificates: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Result<Vec<u8>, TlsError> {
    let leaf = certificates.and_then(|chain| chain.first()).ok_or(PeerError::NoName)?;
    Ok(Peer::key_of_certificate(leaf)?)
}

fn peer_of(certificates: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Result<Peer, TlsError> {
    let leaf = certificates.and_then(|chain| chain.first()).ok_or(PeerError::NoName)?;
    Ok(Peer::from_certificate(leaf)?)
}

/// Finds what TLS had to say inside an I/O error.
pub(crate) fn from_io(error: std::io::Error, expected: Option<&Peer>) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => from_rustls(inner, expected),
        None => TlsError::Io(error),
    }
}

pub(crate) fn from_rustls(error: &rustls::Error, expected: Option<&Peer>) -> TlsError {
    use rustls::Error::{AlertReceived, InvalidCertificate};
    match (error, expected) {
        (InvalidCertificate(CertificateError::ExpiredContext { time, not_after: bound }), _)
        | (InvalidCertificate(CertificateError::NotValidYetContext { time, not_before: bound }), _) => {
            TlsError::PeerValidity { clock: rfc3339(time.as_secs()), bound: rfc3339(bound.as_secs()) }
        }
        (InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature), _) => {
            TlsError::Untrusted
        }
        (
            InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ),
            Some(expected),
        ) => TlsError::WrongPeer { expected: expected.clone() },
        (AlertReceived(AlertDescription::CertificateExpired), _) => TlsError::OwnRefusedByDate,
        (
            AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied,
            ),
            _,
        ) => TlsError::OwnUntrusted,
        _ => TlsError::Protocol(error.clone()),
    }
}
