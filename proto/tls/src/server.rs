//! The server's side of a port: it serves the certificate of two files, and takes up another when they change. Connections
//! that stand go on; a wrong certificate changes nothing.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    certificate::{CertificateError, CertificateFiles, Served},
    trust::provider,
};

/// How often the files are looked at. Both must have stood still for one look: whoever renews them writes two.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a connection may keep that the socket has not taken, in bytes: two of TLS's largest records.
const WRITE_BUFFER: usize = 32 << 10;

/// A port's certificate.
#[derive(Debug)]
pub struct ServerTls {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptorDebug,
    /// What the files looked like before they were first read.
    stamp: Stamp,
}

/// A certificate that was read anew and found right.
#[derive(Debug)]
pub struct Verified(Served);

/// When and how long a file is; nothing where there is none.
type Stamp = [Option<(SystemTime, u64)>; 2];

#[derive(Debug)]
struct Current(RwLock<Served>);

#[derive(Clone)]
struct TlsAcceptorDebug(TlsAcceptor);

impl std::fmt::Debug for TlsAcceptorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl Current {
    fn get(&self) -> Served {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get().key)
    }
}

impl ServerTls {
    /// Reads the files. A certificate that has ended is served all the same, and the log says so: other ports of the program
    /// have to come up.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        let stamp = stamp(&files);
        let provider = provider();
        let served = Served::read(&files, &provider)?;
        if let Some(ended) = served.ended(SystemTime::now()) {
            tracing::error!(certificate = %files.certificate.display(), ended, "this certificate has ended; clients will refuse it");
        }
        let current = Arc::new(Current(RwLock::new(served)));
        let no_pair = |error: rustls::Error| CertificateError::NoPair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            reason: error.to_string(),
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(no_pair)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        let acceptor = TlsAcceptorDebug(TlsAcceptor::from(Arc::new(config)));
        Ok(Arc::new(Self { files, provider, current, acceptor, stamp }))
    }

    /// Shakes hands with a client. The time limit is the caller's.
    ///
    /// # Errors
    /// The client speaks something else, does not like the certificate, or has gone.
    pub async fn accept<T>(&self, stream: T) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let limited =
            |connection: &mut rustls::ServerConnection| connection.set_buffer_limit(Some(WRITE_BUFFER));
        self.acceptor.0.accept_with(stream, limited).await
    }

    /// Reads the files again, and checks them. Nothing has changed yet.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn check(&self) -> Result<Verified, CertificateError> {
        let served = Served::read(&self.files, &self.provider)?;
        match served.ended(SystemTime::now()) {
            Some(ended) => Err(CertificateError::Ended { path: self.files.certificate.clone(), ended }),
            None => Ok(Verified(served)),
        }
    }

    /// Serves new connections with this.
    pub fn put(&self, Verified(served): Verified) {
        let old = self.current.get();
        if old.key.cert == served.key.cert {
            return;
        }
        let certificate = self.files.certificate.display();
        tracing::info!(%certificate, ends = served.ends(), "new connections get another certificate");
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = served;
    }

    /// Takes up what the files hold now; a wrong one changes nothing, and the log says why.
    pub fn reload(&self) {
        match self.check() {
            Ok(verified) => self.put(verified),
            Err(error) => tracing::error!(%error, "the certificate was read again, but the one before stays"),
        }
    }

    /// Takes up every change of the files, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let (mut seen, mut last) = (self.stamp, self.stamp);
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let now = stamp(&self.files);
            if now != seen && now == last {
                seen = now;
                self.reload();
            }
            last = now;
        }
    }

    /// When the certificate ends, for people.
    pub fn ends(&self) -> String {
        self.current.get().ends()
    }

    /// What a device can be given to know this server by: the fingerprint of the certificate that is nearest to the
    /// authority, and so of the server's own if it stands alone in the file.
    pub fn fingerprint(&self) -> Option<crate::Fingerprint> {
        self.current.get().fingerprint()
    }

    /// Whether the server's own certificate stands alone in the file.
    pub fn stands_alone(&self) -> bool {
        self.current.get().key.cert.len() == 1
    }
}

fn stamp(files: &CertificateFiles) -> Stamp {
    let of = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    [of(&files.certificate), of(&files.key)]
}
