//! The API over TLS.

use std::path::Path;

use ecep_tls::Trust;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{EMAIL, PASSWORD, Server};

fn certify(folder: &Path) -> Trust {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("api.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("api.key"), key.serialize_pem()).unwrap();
    Trust::pinned(certificate.pem().as_bytes()).unwrap()
}

/// The whole answer to a request of one connection.
async fn ask(server: &Server, trust: &Trust, request: &str) -> Result<String, String> {
    let stream = TcpStream::connect(server.running.as_ref().unwrap().addresses[0]).await.unwrap();
    let mut stream = trust.connect(stream, "localhost").await.map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    Ok(answer)
}

fn post(path: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// By TLS the cookie must be one that browsers never send without it, every answer must tell them to stay with TLS, and who
/// speaks none must not be answered. A new certificate must be taken up while the program runs; a wrong one must not.
#[tokio::test]
async fn tls_keeps_cookies_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let trust = certify(folder.path());
    let server = Server::start_secured(folder.path()).await;
    let wanted = json!({ "code": server.setup_code(), "email": EMAIL, "password": PASSWORD, "tenant": "acme", "tenant_name": "Acme" });
    let made = ask(&server, &trust, &post("/api/setup", &wanted)).await.unwrap();
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = ask(&server, &trust, &post("/api/login", &login)).await.unwrap();
    assert!(answer.contains("set-cookie: __Host-ecep=") && answer.contains("; Secure"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");

    let mut plain = TcpStream::connect(server.running.as_ref().unwrap().addresses[0]).await.unwrap();
    plain.write_all(HEALTH.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // Closed or reset; at most an alert of TLS comes before.
    let _ = plain.read_to_end(&mut said).await;
    assert!(!said.starts_with(b"HTTP") && said.len() < 16, "{said:?}");

    std::fs::write(folder.path().join("api.pem"), "no certificate").unwrap();
    server.running.as_ref().unwrap().reload_certificate();
    ask(&server, &trust, HEALTH).await.unwrap();
    let new = certify(folder.path());
    server.running.as_ref().unwrap().reload_certificate();
    ask(&server, &new, HEALTH).await.unwrap();
    ask(&server, &trust, HEALTH).await.unwrap_err();
}
