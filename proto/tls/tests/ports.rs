//! A port and its clients: real certificates, real TLS over loopback TCP.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use ecep_tls::{CertificateFiles, ConnectError, ServerTls, Trust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Far beyond what anything here takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority, and a folder in which its servers' certificates lie.
struct Installation {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Installation {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), authority }
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles { certificate: self.path("server.pem"), key: self.path("server.key") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for a server of this name, with its authority after it.
    fn certify(&self, name: &str, years: (i32, i32)) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.path("server.pem"), certificate.pem() + &self.authority.pem()).unwrap();
        fs::write(self.path("server.key"), key.serialize_pem()).unwrap();
    }

    fn trust(&self) -> Trust {
        Trust::pinned(self.authority.pem().as_bytes()).unwrap()
    }
}

const VALID: (i32, i32) = (2020, 2090);

/// An echo over TLS.
async fn serve(tls: Arc<ServerTls>) -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let tls = Arc::clone(&tls);
            tokio::spawn(async move {
                let Ok(mut stream) = tls.accept(stream).await else { return };
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    stream.write_all(&byte).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    address
}

type Client = ecep_tls::client::TlsStream<TcpStream>;

async fn connect(trust: &Trust, address: std::net::SocketAddr) -> Result<Client, ConnectError> {
    trust.connect(TcpStream::connect(address).await.unwrap(), "localhost").await
}

async fn echo(client: &mut Client) {
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
}

async fn refused(trust: &Trust, address: std::net::SocketAddr) -> String {
    connect(trust, address).await.unwrap_err().to_string()
}

/// A client must believe the server that its authority has certified, and no other: not another authority's, none whose time is
/// over, none of another name; and must say which it is.
#[tokio::test]
async fn only_the_right_server_is_believed() {
    let ours = Installation::new();
    ours.certify("localhost", VALID);
    let address = serve(ServerTls::load(ours.files()).unwrap()).await;
    echo(&mut connect(&ours.trust(), address).await.unwrap()).await;
    let said = refused(&Installation::new().trust(), address).await;
    assert!(said.contains("signed by nobody who is trusted"), "{said}");
    let said = refused(&Trust::system(), address).await;
    assert!(said.contains("trusted") || said.contains("ca-certificates"), "{said}");

    ours.certify("localhost", (2000, 2001));
    let address = serve(ServerTls::load(ours.files()).unwrap()).await;
    let said = refused(&ours.trust(), address).await;
    assert!(said.contains("has ended"), "{said}");

    ours.certify("elsewhere.example", VALID);
    let address = serve(ServerTls::load(ours.files()).unwrap()).await;
    let said = refused(&ours.trust(), address).await;
    assert!(said.contains("another name"), "{said}");
}

/// By its fingerprint a client must believe a server, also one with a certificate that it has signed itself; what it has
/// believed must be what it pins; and never another server.
#[tokio::test]
async fn a_fingerprint_becomes_a_pin() {
    let ours = Installation::new();
    ours.certify("localhost", VALID);
    let tls = ServerTls::load(ours.files()).unwrap();
    assert!(!tls.stands_alone());
    let address = serve(Arc::clone(&tls)).await;
    let trust = Trust::fingerprint(tls.fingerprint().unwrap());
    assert_eq!(trust.pins(), None);
    connect(&trust, address).await.unwrap();
    let pins = trust.pins().unwrap();
    // It is the authority's: a new certificate of the server is believed.
    ours.certify("localhost", VALID);
    tls.reload();
    connect(&Trust::pinned(pins.as_bytes()).unwrap(), address).await.unwrap();

    let theirs = Installation::new();
    theirs.certify("localhost", VALID);
    let other = serve(ServerTls::load(theirs.files()).unwrap()).await;
    let said = refused(&trust, other).await;
    assert!(said.contains("no certificate with the fingerprint"), "{said}");
    assert!(connect(&Trust::pinned(pins.as_bytes()).unwrap(), other).await.is_err());

    // As `openssl req -x509` makes it: an authority that certifies itself alone.
    let alone = Installation::new();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(alone.path("server.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(alone.path("server.key"), key.serialize_pem()).unwrap();
    let tls = ServerTls::load(alone.files()).unwrap();
    assert!(tls.stands_alone());
    let address = serve(Arc::clone(&tls)).await;
    let trust = Trust::fingerprint(tls.fingerprint().unwrap());
    connect(&trust, address).await.unwrap();
    connect(&Trust::pinned(trust.pins().unwrap().as_bytes()).unwrap(), address).await.unwrap();
}

/// A new certificate must be taken up by itself, while connections go on; a wrong one must change nothing: half of a pair, no
/// certificate at all, or one that has ended.
#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_wrong_one_is_not() {
    let old = Installation::new();
    old.certify("localhost", VALID);
    let tls = ServerTls::load(old.files()).unwrap();
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&tls).follow(stop.clone()));
    let address = serve(Arc::clone(&tls)).await;
    let mut before = connect(&old.trust(), address).await.unwrap();

    let right = fs::read(old.path("server.pem")).unwrap();
    let key = fs::read(old.path("server.key")).unwrap();
    fs::write(old.path("server.pem"), "not a certificate").unwrap();
    tls.reload();
    fs::remove_file(old.path("server.pem")).unwrap();
    tls.reload();
    old.certify("localhost", (2000, 2001));
    tls.reload();
    assert!(tls.check().unwrap_err().to_string().contains("has ended"));
    fs::write(old.path("server.pem"), &right).unwrap();
    let said = tls.check().unwrap_err().to_string();
    assert!(said.contains("cannot be used together"), "{said}");
    tls.reload();
    fs::write(old.path("server.key"), key).unwrap();
    connect(&old.trust(), address).await.unwrap();

    let new = Installation::new();
    new.certify("localhost", VALID);
    for name in ["server.pem", "server.key"] {
        fs::copy(new.path(name), old.path(name)).unwrap();
    }
    let taken_up = async { while connect(&new.trust(), address).await.is_err() {} };
    tokio::time::timeout(PATIENCE, taken_up).await.unwrap();
    connect(&old.trust(), address).await.unwrap_err();
    echo(&mut before).await;
    stop.cancel();
    following.await.unwrap();
}

/// A plain request must only be closed on, not answered, and the port must go on.
#[tokio::test]
async fn who_speaks_no_tls_is_closed() {
    let ours = Installation::new();
    ours.certify("localhost", VALID);
    let address = serve(ServerTls::load(ours.files()).unwrap()).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Closed or reset; at most a TLS alert comes before.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP") && answer.len() < 16, "{answer:?}");
    echo(&mut connect(&ours.trust(), address).await.unwrap()).await;
}
