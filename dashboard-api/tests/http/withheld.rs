//! Requests that somebody begins while they have access, and ends when they have lost it.

use ecep_dashboard_api::store::StoreError;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Person, Server, open_store, wamp::PATIENCE};

/// A request whose body is still to come. The server has judged who asks: it has begun to wait for the body.
struct Withheld {
    socket: TcpStream,
    body: String,
}

impl Withheld {
    async fn begin(person: &Person, method: Method, path: &str, body: Value) -> Self {
        let address = person.base.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let (body, cookie) = (body.to_string(), person.cookie.as_deref().unwrap());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-ecep-csrf: 1\r\ncookie: {cookie}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        socket.read_exact(&mut go_on).await.unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&go_on));
        Self { socket, body }
    }

    /// Sends the body; the status.
    async fn end(mut self) -> String {
        self.socket.write_all(self.body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let answered = tokio::time::timeout(PATIENCE, self.socket.read_to_string(&mut answer)).await;
        answered.expect("an answer in time").unwrap();
        answer["HTTP/1.1 ".len()..][..3].to_owned()
    }
}

/// An owner who is about to be removed must not leave a token, an invitation or an owner of his behind by requests that
/// he began before.
#[tokio::test]
async fn a_body_that_comes_after_the_removal_changes_nothing() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let owner = json!([{ "tenant": "acme", "role": "owner" }]);
    let otto = server.add_person(&maria, "otto@example.org", owner).await;
    let vera = json!([{ "tenant": "acme", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", vera).await.account("acme").await;
    let mut begun = Vec::new();
    for (method, path, body) in [
        (Method::POST, "api-tokens", json!({ "name": "x", "role": "operator", "valid_seconds": 600 })),
        (Method::POST, "join-tokens", json!({ "uses": 1, "valid_seconds": 600 })),
        (Method::POST, "invitations", json!({ "email": "otto2@example.org", "role": "owner" })),
        (Method::PATCH, &format!("members/{vera}"), json!({ "role": "owner" })),
    ] {
        let path = format!("/api/tenants/acme/{path}");
        begun.push(Withheld::begin(&otto, method, &path, body).await);
    }
    let path = format!("/api/tenants/acme/members/{}", otto.account("acme").await);
    assert_eq!(maria.delete(&path).await.status, 204);
    for request in begun {
        assert_eq!(request.end().await, "404");
    }
    for list in ["api-tokens", "join-tokens", "invitations"] {
        assert_eq!(maria.get(&format!("/api/tenants/acme/{list}")).await.json(), json!([]), "{list}");
    }
}

/// Whoever logs out must not be followed by a ticket that somebody with the stolen cookie asked for just before; nor may an
/// account that is disabled make others.
#[tokio::test]
async fn a_body_that_comes_after_the_logout_opens_nothing() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let ticket = Withheld::begin(&maria, Method::POST, "/api/wamp-ticket", json!({ "tenant": "acme" })).await;
    let account =
        json!({ "email": "x@example.org", "password": "another horse entirely", "memberships": [] });
    let account = Withheld::begin(&maria, Method::POST, "/api/accounts", account).await;
    assert_eq!(maria.post("/api/logout", json!({})).await.status, 204);
    assert_eq!((ticket.end().await, account.end().await), ("401".to_owned(), "401".to_owned()));
}

/// Whoever was judged an owner and is none any more when it is written must not be believed by the store either.
#[tokio::test]
async fn the_store_takes_tokens_and_invitations_of_owners_only() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.api_token("acme", "viewer").await;
    let invitation = json!({ "email": "new@example.org", "role": "viewer" });
    assert_eq!(maria.post("/api/tenants/acme/invitations", invitation).await.status, 201);
    let viewer = json!([{ "tenant": "acme", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", viewer).await.account("acme").await;
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    let acme = "acme".parse().unwrap();
    let mut token = store.api_tokens(&acme).unwrap().remove(0);
    (token.id, token.made_by) = ("other".to_owned(), Some(vera.clone()));
    let mut invitation = store.invitations(&acme).unwrap().remove(0);
    (invitation.id, invitation.made_by) = ("other".to_owned(), vera);
    for refused in [store.add_api_token(&token).await, store.add_invitation(&invitation).await] {
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
}

/// An owner whose account is disabled must not come back by an invitation that he made for himself.
#[tokio::test]
async fn disabling_an_account_withdraws_its_invitations() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let owner = json!([{ "tenant": "acme", "role": "owner" }]);
    let otto = server.add_person(&maria, "otto@example.org", owner).await;
    let id = otto.account("acme").await;
    for (person, email) in [(&otto, "otto2@example.org"), (&maria, "new@example.org")] {
        let invitation = json!({ "email": email, "role": "owner" });
        assert_eq!(person.post("/api/tenants/acme/invitations", invitation).await.status, 201);
    }
    let disabled = maria.patch(&format!("/api/accounts/{id}"), json!({ "disabled": true })).await;
    assert_eq!(disabled.status, 204);
    let left = maria.get("/api/tenants/acme/invitations").await.json();
    let left: Vec<&Value> = left.as_array().unwrap().iter().map(|one| &one["email"]).collect();
    assert_eq!(left, ["new@example.org"]);
}
