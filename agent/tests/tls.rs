//! HTTP to the control plane over TLS: a real certificate, over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use ecep_agent::{
    cloud,
    identity::{self, DeviceKey, Enrolled, Identity},
};
use ecep_proto::api::{
    device::{DeviceFacts, EngineFacts},
    enrol::{EnrolReply, SessionReply},
    realm,
};
use ecep_tls::{CertificateFiles, ServerTls, Trust};
use rcgen::{CertificateParams, KeyPair};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A certificate that has signed itself.
fn certify(folder: &Path, name: &str, end: i32) -> (Arc<ServerTls>, Trust) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(end, 1, 1);
    params.not_before = rcgen::date_time_ymd(1990, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let files = CertificateFiles { certificate: folder.join("api.pem"), key: folder.join("api.key") };
    fs::write(&files.certificate, &pem).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    (ServerTls::load(files).unwrap(), Trust::pinned(pem.as_bytes()).unwrap())
}

/// A control plane that answers everything with this.
async fn serve(tls: Arc<ServerTls>, answer: &impl Serialize) -> SocketAddr {
    let body = serde_json::to_string(answer).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let Ok(mut stream) = tls.accept(stream).await else { continue };
            let mut request = vec![0; 16 << 10];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    address
}

fn facts() -> DeviceFacts {
    DeviceFacts {
        agent_version: "0.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        kernel: "6.1.0".to_owned(),
        cores: 4,
        memory_total_bytes: 4_000_000_000,
        engine: EngineFacts {
            kind: "sim".to_owned(),
            reachable: true,
            version: None,
            api_version: None,
            live_restore: None,
            problems: vec![],
        },
        hostname: "edge".to_owned(),
        addresses: vec![],
        channel_port: None,
        migration: None,
    }
}

fn enrolment() -> EnrolReply {
    EnrolReply { device: "edge-1".parse().unwrap(), tenant_name: "Acme".to_owned(), papers: None }
}

/// A join token must go to the right control plane only: not to one whose certificate another has signed, nor one whose
/// certificate has ended or is for another name. Who was believed by a fingerprint must be believed by the pin.
#[tokio::test]
async fn enrols_with_whom_it_trusts_only() {
    let folder = tempfile::tempdir().unwrap();
    let key = DeviceKey::load_or_create(folder.path()).unwrap();
    let enrol = async |name: &str, address: SocketAddr, trust: &Trust| {
        let cloud = format!("https://{name}:{}", address.port());
        cloud::enrol(&cloud, trust, "token", &key, "edge", None, facts())
            .await
            .map_err(|error| error.to_string())
    };
    let (tls, trust) = certify(folder.path(), "localhost", 2090);
    let fingerprint = Trust::fingerprint(tls.fingerprint().unwrap());
    let address = serve(tls, &enrolment()).await;
    assert_eq!(enrol("localhost", address, &trust).await, Ok(enrolment()));
    assert_eq!(enrol("localhost", address, &fingerprint).await, Ok(enrolment()));
    let pinned = Trust::pinned(fingerprint.pins().unwrap().as_bytes()).unwrap();
    assert_eq!(enrol("localhost", address, &pinned).await, Ok(enrolment()));
    let said = enrol("127.0.0.1", address, &trust).await.unwrap_err();
    assert!(said.contains("another name"), "{said}");
    let (_, stranger) = certify(folder.path(), "localhost", 2090);
    let said = enrol("localhost", address, &stranger).await.unwrap_err();
    assert!(said.contains("signed by nobody who is trusted"), "{said}");

    let (tls, trust) = certify(folder.path(), "localhost", 2010);
    let address = serve(tls, &enrolment()).await;
    let said = enrol("localhost", address, &trust).await.unwrap_err();
    assert!(said.contains("has ended"), "{said}");
}

/// A device that was enrolled by TLS must not send its ticket over a plain line, whatever the control plane says.
#[tokio::test]
async fn stays_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    DeviceKey::load_or_create(folder.path()).unwrap();
    let (tls, trust) = certify(folder.path(), "localhost", 2090);
    let reply = |url: &str| SessionReply {
        wamp_url: url.to_owned(),
        realm: realm::CONTROL.to_owned(),
        ticket: "a ticket".to_owned(),
        now: 0,
    };
    identity::pin(folder.path(), &trust.pins().unwrap()).unwrap();
    let mut offered = Vec::new();
    for url in ["ws://localhost:1/", "wss://localhost:1/"] {
        let address = serve(Arc::clone(&tls), &reply(url)).await;
        let enrolled = Enrolled {
            device: "edge-1".parse().unwrap(),
            cloud: format!("https://localhost:{}", address.port()),
            engine: "unix:///nowhere".to_owned(),
            pinned: true,
        };
        identity::store(folder.path(), &enrolled).unwrap();
        let identity = Identity::load(folder.path()).unwrap();
        offered.push(cloud::credentials(&identity).await.map(|credentials| credentials.url));
    }
    let said = offered[0].as_ref().unwrap_err().to_string();
    assert!(said.contains("without TLS"), "{said}");
    assert_eq!(offered[1].as_ref().unwrap(), "wss://localhost:1/");
}
