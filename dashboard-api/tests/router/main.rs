//! The control plane with a real router: who may join, and the fleet as its tenants see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod ending;
mod fleet;
mod insight;
mod joining;
mod shares;

use std::time::Instant;

use serde_json::{Value, json};
use support::{
    Person, Server,
    router::TestRouter,
    wamp::{PATIENCE, Refused, Session},
};

/// A control plane that has joined a router.
async fn platform() -> (TestRouter, Server, Person) {
    let router = TestRouter::start().await;
    let server = Server::start_with(&router.url(), None).await;
    let maria = server.set_up().await;
    joined(&server).await;
    (router, server, maria)
}

/// Waits until the control plane is on the control realm and every tenant's.
async fn joined(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while server.visitor().get("/healthz").await.json()["router"] != "joined" {
        assert!(Instant::now() < deadline, "the control plane did not join in time");
    }
}

async fn ticket(person: &Person, tenant: &str) -> Value {
    let answer = person.post("/api/wamp-ticket", json!({ "tenant": tenant })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Joins as the browser does, with what the API gave it.
async fn join(router: &TestRouter, ticket: &Value) -> Result<Session, Refused> {
    let text = |key: &str| ticket[key].as_str().unwrap().to_owned();
    Session::join(&router.url(), &text("realm"), &text("authid"), &text("ticket")).await
}
