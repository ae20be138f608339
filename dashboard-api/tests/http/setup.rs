//! The first run.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{EMAIL, PASSWORD, Server, data_of};

fn request(code: &str) -> serde_json::Value {
    json!({ "code": code, "email": EMAIL, "password": PASSWORD, "tenant": "acme", "tenant_name": "Acme" })
}

/// A newcomer gets from an empty folder to a login; the code then opens nothing any more.
#[tokio::test]
async fn the_first_account_is_made_once_with_the_code() {
    let server = Server::start().await;
    let visitor = server.visitor();
    assert_eq!(visitor.get("/api/setup").await.json(), json!({ "needed": true }));
    let code = server.setup_code();
    assert_eq!(visitor.post("/api/setup", request(&code)).await.status, 201);
    assert_eq!(visitor.get("/api/setup").await.json(), json!({ "needed": false }));
    assert!(!data_of(&server.folder).join("setup-code").exists());
    let again = visitor.post("/api/setup", request(&code)).await.problem(409);
    assert!(again.contains("Log in"), "{again}");

    let mut maria = server.visitor();
    let session = maria.login(EMAIL, PASSWORD).await.json();
    assert_eq!(session["admin"], true);
    assert_eq!(session["memberships"], json!([{ "tenant": "acme", "tenant_name": "Acme", "role": "owner" }]));
}

/// Whoever cannot read the data folder must not become the administrator.
#[tokio::test]
async fn a_wrong_code_makes_nothing() {
    let server = Server::start().await;
    let refused = server.visitor().post("/api/setup", request("guess")).await.problem(403);
    assert!(refused.contains("setup-code"), "{refused}");
    assert_eq!(server.visitor().get("/api/setup").await.json()["needed"], true);
}

/// What a person types wrongly is refused with what to type instead, and costs them nothing.
#[tokio::test]
async fn mistakes_are_told_and_can_be_corrected() {
    let server = Server::start().await;
    let code = server.setup_code();
    for (field, value, hint) in [
        ("password", "short", "12 or more"),
        ("email", "maria", "maria@example.org"),
        ("tenant", "Acme Corp", "a-z, 0-9"),
        ("tenant_name", " ", "1 to 80"),
    ] {
        let mut wanted = request(&code);
        wanted[field] = json!(value);
        let refused = server.visitor().post("/api/setup", wanted).await.problem(400);
        assert!(refused.contains(hint), "{field}: {refused}");
    }
    assert_eq!(server.visitor().post("/api/setup", request(&code)).await.status, 201);
}

/// Two people at once: exactly one becomes the first.
#[tokio::test]
async fn only_one_of_many_at_once_is_the_first() {
    let server = Server::start().await;
    let code = server.setup_code();
    let requests = (0..8).map(|number| {
        let visitor = server.visitor();
        let mut wanted = request(&code);
        wanted["email"] = json!(format!("p{number}@example.org"));
        tokio::spawn(async move { visitor.post("/api/setup", wanted).await.status })
    });
    let mut made = 0;
    for request in requests.collect::<Vec<_>>() {
        let status = request.await.unwrap();
        made += u32::from(status == 201);
        assert!(status == 201 || status == 409 || status == 403, "{status}");
    }
    assert_eq!(made, 1);
}

/// The data folder holds password hashes: it is nobody else's to look into, and belongs to one process.
#[tokio::test]
async fn the_data_folder_is_private_and_locked() {
    let server = Server::start().await;
    let data = data_of(&server.folder);
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let second = ecep_dashboard_api::store::Store::open(&data).err().unwrap().to_string();
    assert!(second.contains("in use by another process"), "{second}");
}
