//! The web app's files and the health check.

use crate::support::Server;

/// Without a built web app the first page says how to build it; with one, pages of the app get its first page and
/// missing files are missing.
#[tokio::test]
async fn pages_are_the_apps_and_missing_files_are_missing() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let first = visitor.get("/").await;
    if first.status == 503 {
        assert!(first.text.contains("npm run build"), "{first:?}");
    } else {
        assert_eq!(first.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(first.header("cache-control"), "no-cache");
        assert_eq!(visitor.get("/devices/edge-1").await.text, first.text);
        let again = visitor.client.get(&server.base).header("if-none-match", first.header("etag"));
        assert_eq!(crate::support::answer(again).await.status, 304);
        let zipped = visitor.client.get(&server.base).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(zipped.headers()["content-encoding"], "gzip");
        assert_eq!(zipped.headers()["content-type"], "text/html; charset=utf-8");
        assert!(zipped.headers()["etag"] != first.header("etag"), "a cache must not take one for the other");
        let bytes = zipped.bytes().await.unwrap();
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < first.text.len());
    }
    assert!(visitor.get("/nothing.js").await.problem(404).contains("/nothing.js"));
    for path in ["/../Cargo.toml", "/..%2fCargo.toml", "/assets/../../Cargo.toml"] {
        assert!(!visitor.get(path).await.text.contains("[package]"), "{path}");
    }
}

/// A supervisor sees that it runs, and whether the router is reached.
#[tokio::test]
async fn health_tells_about_the_router() {
    let server = Server::start().await;
    let health = server.visitor().get("/healthz").await.json();
    assert_eq!(health["ok"], true);
    assert_eq!(health["router"], "connecting");
}
