//! Errors of the protocol itself: each is a problem document that says what to do.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Server, answer, client, wamp::PATIENCE};

/// A malformed body is refused with the place of what is wrong.
#[tokio::test]
async fn malformed_bodies_are_refused_with_their_place() {
    let server = Server::start().await;
    let login = |body: &'static str| {
        client()
            .post(format!("{}/api/login", server.base))
            .header("content-type", "application/json")
            .body(body)
    };
    for (body, hint) in [
        ("", "line 1 column 0"),
        ("{\"email\": ", "line 1 column 10"),
        (
            "{\n  \"email\": \"a\",\n  \"passwort\": \"b\"}",
            "unknown field `passwort`, expected `email` or `password` at line 3",
        ),
        ("{\"email\": \"a\"}", "missing field `password`"),
        ("{\"email\": 1, \"password\": \"b\"}", "expected a string at line 1 column 11"),
        ("[]x", "line 1"),
    ] {
        let refused = answer(login(body)).await.problem(400);
        assert!(refused.contains(hint), "{body}: {refused}");
    }
}

/// What is not JSON, and what is too long, is refused before it is read.
#[tokio::test]
async fn wrong_types_and_lengths_are_refused() {
    let server = Server::start().await;
    let url = format!("{}/api/login", server.base);
    let form =
        client().post(&url).header("content-type", "application/x-www-form-urlencoded").body("email=a");
    assert!(answer(form).await.problem(415).contains("application/json"));
    answer(client().post(&url).body("{}")).await.problem(415);
    let long = json!({ "email": "a@b", "password": "x".repeat(70_000) });
    assert!(answer(client().post(&url).json(&long)).await.problem(413).contains("65536"));
}

/// A body that does not announce its length must not be read without end either.
#[tokio::test]
async fn an_endless_body_is_refused() {
    let server = Server::start().await;
    let address = server.base.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..16 {
        socket.write_all(chunk.as_bytes()).await.unwrap();
    }
    // One byte too many, and the body has not ended.
    socket.write_all(b"1\r\n \r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer))
        .await
        .expect("an answer in time")
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// Unknown paths and methods are told apart, and the right methods are named.
#[tokio::test]
async fn unknown_paths_and_methods_are_told() {
    let server = Server::start().await;
    let visitor = server.visitor();
    assert!(visitor.get("/api/nothing").await.problem(404).contains("/api/nothing"));
    visitor.post("/api/login/more", json!({})).await.problem(404);
    visitor.get("/api").await.problem(404);
    let wrong = visitor.get("/api/login").await;
    assert!(wrong.problem(405).contains("POST"));
    assert_eq!(wrong.header("allow"), "POST");
    let wrong = visitor.delete("/api/tenants/acme/join-tokens").await;
    wrong.problem(405);
    assert_eq!(wrong.header("allow"), "GET, POST");
    visitor.post("/", json!({})).await.problem(405);
}

/// Answers about people are not kept by any cache, and every answer carries the headers that guard the page.
#[tokio::test]
async fn every_answer_carries_the_guarding_headers() {
    let server = Server::start().await;
    for path in ["/", "/api/setup", "/api/nothing", "/healthz", "/nothing.js"] {
        let answer = server.visitor().get(path).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self' ws://127.0.0.1:8081; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
    }
    assert_eq!(server.visitor().get("/api/setup").await.header("cache-control"), "no-store");
}
