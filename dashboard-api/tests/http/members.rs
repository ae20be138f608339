//! The members of a tenant.

use serde_json::{Value, json};

use crate::support::{EMAIL, Person, Server};

const MEMBERS: &str = "/api/tenants/acme/members";

async fn member(server: &Server, maria: &Person, name: &str, role: &str) -> (Person, String) {
    let membership = json!([{ "tenant": "acme", "role": role }]);
    let person = server.add_person(maria, &format!("{name}@example.org"), membership).await;
    let account = person.account("acme").await;
    (person, account)
}

fn field<'a>(page: &'a Value, name: &str) -> Vec<&'a Value> {
    page["members"].as_array().unwrap().iter().map(|member| &member[name]).collect()
}

/// Owners see who is who; others see who there is and what they may, and no address but their own.
#[tokio::test]
async fn only_owners_see_addresses() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (vera, _) = member(&server, &maria, "vera", "viewer").await;
    let page = maria.get(MEMBERS).await.json();
    assert_eq!(field(&page, "email"), [EMAIL, "vera@example.org"]);
    assert_eq!(field(&page, "role"), ["owner", "viewer"]);
    assert_eq!(field(&page, "is_you"), [true, false]);
    let page = vera.get(MEMBERS).await.json();
    assert_eq!(field(&page, "email"), [&Value::Null, &json!("vera@example.org")]);
    assert_eq!(field(&page, "role"), ["owner", "viewer"]);
}

/// A long list comes in pages, of which none misses or repeats anybody.
#[tokio::test]
async fn members_are_listed_by_pages() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for number in 0..4 {
        let account = json!({ "email": format!("p{number}@example.org"), "password": "correct horse battery", "memberships": [{ "tenant": "acme", "role": "viewer" }] });
        assert_eq!(maria.post("/api/accounts", account).await.status, 201);
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = maria.get(&format!("{MEMBERS}?limit=2&after={after}")).await.json();
        seen.extend(field(&page, "account").into_iter().cloned());
        assert!(page["members"].as_array().unwrap().len() <= 2);
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    seen.dedup();
    assert_eq!(seen.len(), 5);
    for limit in ["0", "501", "x"] {
        assert!(maria.get(&format!("{MEMBERS}?limit={limit}")).await.problem(400).contains("1 to 500"));
    }
    let page = maria.get("/api/accounts?limit=3").await.json();
    assert_eq!((page["accounts"].as_array().unwrap().len(), page["next"].is_string()), (3, true));
}

/// A role changes for the next request already, and the login stays.
#[tokio::test]
async fn an_owner_changes_roles() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (vera, account) = member(&server, &maria, "vera", "viewer").await;
    vera.get("/api/tenants/acme/join-tokens").await.problem(403);
    let path = format!("{MEMBERS}/{account}");
    assert_eq!(maria.patch(&path, json!({ "role": "owner" })).await.status, 204);
    assert_eq!(vera.get("/api/tenants/acme/join-tokens").await.status, 200);
    assert_eq!(vera.get("/api/session").await.json()["memberships"][0]["role"], "owner");
    for role in ["device", "telemetry", "control-plane"] {
        assert!(
            maria
                .patch(&path, json!({ "role": role }))
                .await
                .problem(400)
                .contains("owner, operator or viewer")
        );
    }
    maria.patch(&format!("{MEMBERS}/nobody"), json!({ "role": "viewer" })).await.problem(404);
}

/// Who is removed is out, sees nothing of the tenant, and cannot come back by an invitation that they made before.
#[tokio::test]
async fn a_removed_member_is_out() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (otto, account) = member(&server, &maria, "otto", "owner").await;
    let back = json!({ "email": "otto@example.org.example", "role": "owner" });
    let back = otto.post("/api/tenants/acme/invitations", back).await.json();
    assert_eq!(maria.delete(&format!("{MEMBERS}/{account}")).await.status, 204);
    otto.get(MEMBERS).await.problem(404);
    otto.post("/api/wamp-ticket", json!({ "tenant": "acme" })).await.problem(403);
    assert_eq!(otto.get("/api/session").await.json()["memberships"], json!([]));
    let accepted = json!({ "secret": back["secret"], "password": "correct horse battery" });
    server.visitor().post("/api/invitations/accept", accepted).await.problem(404);
    maria.delete(&format!("{MEMBERS}/{account}")).await.problem(404);
}

/// A tenant must keep an owner, whichever way the last one would go; also when two go at once.
#[tokio::test]
async fn the_last_owner_cannot_go() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let own = maria.account("acme").await;
    for refused in [
        maria.post("/api/tenants/acme/leave", json!({})).await,
        maria.delete(&format!("{MEMBERS}/{own}")).await,
        maria.patch(&format!("{MEMBERS}/{own}"), json!({ "role": "viewer" })).await,
    ] {
        assert!(refused.problem(409).contains("somebody else an owner first"));
    }
    let mut owners = vec![maria];
    for name in ["otto", "olga", "oskar"] {
        let (owner, _) = member(&server, &owners[0], name, "owner").await;
        owners.push(owner);
    }
    let leaving = owners.iter().map(|owner| {
        let owner = owner.clone();
        tokio::spawn(async move { owner.post("/api/tenants/acme/leave", json!({})).await.status.as_u16() })
    });
    let mut left = Vec::new();
    for one in leaving.collect::<Vec<_>>() {
        left.push(one.await.unwrap());
    }
    left.sort_unstable();
    assert_eq!(left, [204, 204, 204, 409]);
}
