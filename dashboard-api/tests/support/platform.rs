//! A control plane that has joined a router, and how a person comes into its realms.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    Person, Server,
    router::TestRouter,
    wamp::{PATIENCE, Refused, Session},
};

/// A control plane that has joined a router.
pub async fn platform() -> (TestRouter, Server, Person) {
    let router = TestRouter::start().await;
    let server = Server::start_with(&router.url(), None).await;
    let maria = server.set_up().await;
    joined(&server).await;
    (router, server, maria)
}

/// Waits until the control plane is on the control realm and every tenant's.
pub async fn joined(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while server.visitor().get("/healthz").await.json()["router"] != "joined" {
        assert!(Instant::now() < deadline, "the control plane did not join in time");
    }
}

pub async fn ticket(person: &Person, tenant: &str) -> Value {
    let answer = person.post("/api/wamp-ticket", json!({ "tenant": tenant })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Joins as the browser does, with what the API gave it.
pub async fn join(router: &TestRouter, ticket: &Value) -> Result<Session, Refused> {
    let text = |key: &str| ticket[key].as_str().unwrap().to_owned();
    Session::join(&router.url(), &text("realm"), &text("authid"), &text("ticket")).await
}
