//! The audit over HTTP: what is written down, what never is, and who may read it.

use ecep_dashboard_api::{http::endpoints::ENDPOINTS, store::check};
use ecep_proto::api::audit::{ActorKind, AuditEntry, Outcome, ViaKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Device, EMAIL, PASSWORD, Person, Server, answer, bearer, now, open_store};

/// In every value that must never be written down.
const MARK: &str = "marked-secret";

async fn export(person: &Person, path: &str) -> Vec<AuditEntry> {
    let answer = person.get(path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/x-ndjson"),
        "{answer:?}"
    );
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn find<'a>(entries: &'a [AuditEntry], action: &str) -> &'a AuditEntry {
    let found = entries.iter().find(|entry| entry.action == action);
    found.unwrap_or_else(|| panic!("no {action} in {entries:#?}"))
}

/// Who did what to what, by which right, from where, and what came of it: for a person, a program and a device.
#[tokio::test]
async fn changes_are_written_down_with_who_did_them() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let id = maria.account("acme").await;
    let (token, secret) = maria.join_token(3).await;
    let edge =
        server.visitor().post("/api/device/enrol", Device::new(1).enrolment(&secret, "Edge 1")).await.json();
    maria.delete(&format!("/api/tenants/acme/devices/{}", edge["device"].as_str().unwrap())).await;
    maria.post("/api/tenants/acme/join-tokens", json!({ "uses": 0, "valid_seconds": 60 })).await.problem(400);
    let entries = export(&maria, "/api/tenants/acme/audit").await;
    let made = find(&entries, "POST /api/tenants/{slug}/join-tokens");
    assert_eq!(
        (made.actor.authid.as_str(), made.actor.kind, made.outcome),
        (id.as_str(), ActorKind::Person, Outcome::Done)
    );
    assert_eq!((made.target.as_str(), made.detail["uses"].as_str()), (token.as_str(), "3"));
    assert_eq!(
        (made.via.as_ref().unwrap().kind, made.address.as_deref()),
        (ViaKind::Login, Some("127.0.0.1"))
    );
    let enrolled = find(&entries, "POST /api/device/enrol");
    let via = enrolled.via.as_ref().unwrap();
    assert_eq!(
        (enrolled.actor.kind, via.kind, via.id.as_str()),
        (ActorKind::Device, ViaKind::JoinToken, token.as_str())
    );
    assert_eq!(find(&entries, "DELETE /api/tenants/{slug}/devices/{id}").target, edge["device"]);
    let refused = entries.last().unwrap();
    assert_eq!((refused.outcome, refused.error.as_deref()), (Outcome::Refused, Some("400")));
    // Reads are not written down, and what concerns the installation stands elsewhere.
    assert!(entries.iter().all(|entry| !entry.action.starts_with("GET")));
    let installation = export(&maria, "/api/audit").await;
    let login = find(&installation, "POST /api/login");
    assert_eq!((login.actor.authid.as_str(), login.tenant.as_ref()), (id.as_str(), None));
    find(&installation, "POST /api/setup");
    assert!(installation.iter().all(|entry| entry.tenant.is_none()));
}

/// A secret that is sent to any changing endpoint, by whomever, must not be in the audit.
#[tokio::test]
async fn no_secret_is_written_down() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let token = maria.api_token("acme", "operator").await.1;
    let mut secrets =
        vec![token.clone(), PASSWORD.to_owned(), MARK.to_owned(), maria.cookie.clone().unwrap()];
    secrets.push(maria.join_token(1).await.1);
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is_change()) {
        let path = endpoint.path.replace("{slug}", "acme").replace("{id}", "nothing");
        let method: Method = endpoint.method.as_str().parse().unwrap();
        let fields = [
            "password",
            "new_password",
            "old_password",
            "current_password",
            "token",
            "secret",
            "code",
            "signature",
            "ticket",
        ];
        let mut body: Value = fields
            .iter()
            .map(|field| ((*field).to_owned(), json!(MARK)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        body["env"] = json!({ "KEY": MARK });
        // What somebody types into the wrong field while they are not known.
        let mut typed = body.clone();
        typed["email"] = json!(MARK);
        server.visitor().send(method.clone(), &path, Some(typed)).await;
        // A logout would end what the others need.
        if endpoint.path != "/api/logout" {
            maria.send(method.clone(), &path, Some(body.clone())).await;
        }
        bearer(&server, method, &path, &token).await;
    }
    let new = json!({ "email": "otto@example.org", "password": format!("{MARK} twelve"), "memberships": [] });
    assert_eq!(maria.post("/api/accounts", new).await.status, 201);
    let invitation = maria
        .post("/api/tenants/acme/invitations", json!({ "email": "new@example.org", "role": "viewer" }))
        .await;
    secrets.push(invitation.json()["secret"].as_str().unwrap().to_owned());
    let mut maria = server.visitor();
    maria.login(EMAIL, PASSWORD).await;
    let text = maria.get("/api/tenants/acme/audit").await.text + &maria.get("/api/audit").await.text;
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is_change()) {
        assert!(text.contains(&format!("\"{}\"", endpoint.action())), "{} is missing", endpoint.action());
    }
}

/// Wrong passwords are counted in one entry, in a log of their own, and tell no e-mail address; a restart loses no entry.
#[tokio::test]
async fn wrong_passwords_are_counted() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for attempt in 0..5 {
        let wrong = json!({ "email": EMAIL, "password": format!("wrong password {attempt}") });
        server.visitor().post("/api/login", wrong).await.problem(401);
    }
    let count = |entries: &[AuditEntry]| {
        let refused = entries
            .iter()
            .filter(|entry| entry.action == "POST /api/login" && entry.outcome == Outcome::Refused);
        refused.map(|entry| (entry.actor.kind, entry.count)).collect::<Vec<_>>()
    };
    let entries = export(&maria, "/api/audit").await;
    assert_eq!(count(&entries), [(ActorKind::Nobody, 1)]);
    let server = server.restart("ws://127.0.0.1:9/").await;
    let maria = Person { base: server.base.clone(), ..maria };
    let entries = export(&maria, "/api/audit").await;
    assert_eq!(count(&entries), [(ActorKind::Nobody, 1), (ActorKind::Nobody, 4)]);
    assert!(
        entries
            .iter()
            .filter(|entry| entry.actor.kind == ActorKind::Nobody)
            .all(|entry| entry.detail.is_empty())
    );
    let folder = server.stop().await;
    assert_eq!(check(&open_store(&folder).await.copy().unwrap().tables, now()), []);
}

/// Somebody who may not do something is written down too, where those see it whom it concerns; and an export takes filters.
#[tokio::test]
async fn refusals_of_known_people_are_written_down() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let vera =
        server.add_person(&maria, "vera@example.org", json!([{ "tenant": "acme", "role": "viewer" }])).await;
    let eve = server.add_person(&maria, "eve@example.org", json!([])).await;
    let wanted = json!({ "uses": 1, "valid_seconds": 60 });
    vera.post("/api/tenants/acme/join-tokens", wanted.clone()).await.problem(403);
    eve.post("/api/tenants/acme/join-tokens", wanted).await.problem(404);
    let vera_id = vera.account("acme").await;
    let of_vera = export(&maria, &format!("/api/tenants/acme/audit?actor={vera_id}")).await;
    let told: Vec<_> = of_vera.iter().map(|entry| (entry.outcome, entry.error.as_deref())).collect();
    assert_eq!(told, [(Outcome::Refused, Some("403"))]);
    let of_installation =
        export(&maria, "/api/audit?action=POST%20/api/tenants/%7Bslug%7D/join-tokens").await;
    assert_eq!(of_installation.iter().map(|entry| entry.error.as_deref()).collect::<Vec<_>>(), [Some("404")]);
    let now = now() + 1_000;
    assert!(export(&maria, &format!("/api/tenants/acme/audit?from={now}")).await.is_empty());
    maria.get("/api/tenants/acme/audit?format=xml").await.problem(400);
    maria.get("/api/tenants/acme/audit?since=5").await.problem(400);
}

/// An export as CSV has one line for each entry, whatever people put into names, and runs no formula.
#[tokio::test]
async fn the_export_as_csv_is_harmless() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let name = "=HYPERLINK(\"http://evil\"),\"x\"";
    maria
        .post(
            "/api/tenants/acme/api-tokens",
            json!({ "name": name, "role": "viewer", "valid_seconds": 3600 }),
        )
        .await;
    maria.delete("/api/tenants/acme/api-tokens/=1+1").await.problem(404);
    let csv = maria.get("/api/tenants/acme/audit?format=csv").await;
    assert!(
        csv.header("content-type").starts_with("text/csv")
            && csv.header("content-disposition").contains("audit.csv")
    );
    let lines: Vec<&str> = csv.text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + export(&maria, "/api/tenants/acme/audit").await.len());
    assert!(lines[0].starts_with("id,at,tenant,actor,"));
    assert!(lines.last().unwrap().contains("\"'=1+1\""), "{}", csv.text);
}

/// A header that is none of ours beside the cookie must not make a person nobody in the audit.
#[tokio::test]
async fn no_header_hides_who_it_was() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let id = maria.account("acme").await;
    for header in ["Basic eDp4", "Digest x", "\u{e9}"] {
        let request = maria.client.post(format!("{}/api/tenants/acme/join-tokens", server.base));
        let request = request.header("x-ecep-csrf", "1").header("cookie", maria.cookie.as_deref().unwrap());
        let request = request.header("authorization", header.as_bytes());
        let made = answer(request.json(&json!({ "uses": 1, "valid_seconds": 60 }))).await;
        assert_eq!(made.status, 201, "{header}");
    }
    let entries = export(&maria, "/api/tenants/acme/audit").await;
    let made = entries.iter().filter(|entry| entry.action == "POST /api/tenants/{slug}/join-tokens");
    let by: Vec<_> = made.map(|entry| (entry.actor.authid.as_str(), entry.outcome)).collect();
    assert_eq!(by, [(id.as_str(), Outcome::Done); 3]);
}

/// Nobody may fill the disk, or push out what strangers tried, by what does nothing: a logout without a login.
#[tokio::test]
async fn nothing_done_by_nobody_is_not_written_down() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for _ in 0..3 {
        assert_eq!(server.visitor().post("/api/logout", json!({})).await.status, 204);
    }
    let entries = export(&maria, "/api/audit").await;
    assert!(entries.iter().all(|entry| entry.action != "POST /api/logout"), "{entries:#?}");
}
