//! One's own account: the password and the logins.

use serde_json::json;

use crate::support::{EMAIL, PASSWORD, Server, TRUSTED_PROXY, answer, client};

const NEW: &str = "another horse entirely";

/// The present password is needed; the new one is good at once, the old one is not, and only this login is left.
#[tokio::test]
async fn a_new_password_ends_all_other_logins() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let mut thief = server.visitor();
    thief.login(EMAIL, PASSWORD).await;
    let change = async |current: &str, new: &str| {
        maria.post("/api/account/password", json!({ "current": current, "new": new })).await
    };
    assert!(change("wrong horse battery", NEW).await.problem(403).contains("present password"));
    for (new, hint) in
        [("short", "12 or more"), (EMAIL, "e-mail address"), ("Password-1234", "first that others")]
    {
        assert!(change(PASSWORD, new).await.problem(400).contains(hint), "{new}");
    }
    assert_eq!(thief.get("/api/session").await.status, 200);
    assert_eq!(change(PASSWORD, NEW).await.status, 204);
    assert_eq!(maria.get("/api/session").await.status, 200);
    thief.get("/api/session").await.problem(401);
    server.visitor().post("/api/login", json!({ "email": EMAIL, "password": PASSWORD })).await.problem(401);
    server.visitor().login(EMAIL, NEW).await;
}

/// People see where they are logged in, and end what is not theirs; nobody ends another's.
#[tokio::test]
async fn people_see_and_end_their_logins() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let long = "x".repeat(1_000);
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let login = client().post(format!("{}/api/login", server.base)).header("user-agent", &long).json(&body);
    let login = answer(login).await;
    let mut phone = server.visitor();
    phone.cookie = Some(login.header("set-cookie").split(';').next().unwrap().to_owned());
    let logins = maria.get("/api/account/logins").await.json();
    let (first, second) = (&logins[0], &logins[1]);
    assert_eq!((&first["is_this"], &second["is_this"]), (&json!(false), &json!(true)), "{logins}");
    assert_eq!(first["user_agent"], "x".repeat(200));
    assert_eq!(first["address"], "127.0.0.1");
    for field in ["opened_at", "last_seen", "expires_at"] {
        assert!(first[field].as_u64().unwrap() > 1_600_000_000_000, "{logins}");
    }
    let id = first["id"].as_str().unwrap();
    let vera = server.add_person(&maria, "vera@example.org", json!([])).await;
    vera.delete(&format!("/api/account/logins/{id}")).await.problem(404);
    assert_eq!(phone.get("/api/session").await.status, 200);
    assert_eq!(maria.delete(&format!("/api/account/logins/{id}")).await.status, 204);
    phone.get("/api/session").await.problem(401);

    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = server.visitor();
        other.login(EMAIL, PASSWORD).await;
        others.push(other);
    }
    assert_eq!(maria.delete("/api/account/logins").await.status, 204);
    for other in others {
        other.get("/api/session").await.problem(401);
    }
    assert_eq!(maria.get("/api/account/logins").await.json().as_array().unwrap().len(), 1);
    assert_eq!(vera.get("/api/session").await.status, 200);
}

/// Behind a proxy people are told apart by what it says of them; nobody else is believed.
#[tokio::test]
async fn a_trusted_proxy_names_its_clients() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let proxy = reqwest::Client::builder().no_proxy().local_address(TRUSTED_PROXY).build().unwrap();
    for client in [proxy, client()] {
        let login = client.post(format!("{}/api/login", server.base)).json(&body);
        assert_eq!(answer(login.header("x-forwarded-for", "198.51.100.7")).await.status, 200);
    }
    let logins = maria.get("/api/account/logins").await.json();
    let mut addresses: Vec<&str> =
        logins.as_array().unwrap().iter().map(|login| login["address"].as_str().unwrap()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["127.0.0.1", "127.0.0.1", "198.51.100.7"]);
}
