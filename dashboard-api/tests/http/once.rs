//! Orders with a key are done once.

use ecep_dashboard_api::store::orders::Order;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Server, answer, open_store};

async fn order(person: &Person, path: &str, key: &str, body: &Value) -> Answer {
    let request = person.client.post(format!("{}{path}", person.base)).header("x-ecep-csrf", "1");
    let request = request.header("cookie", person.cookie.as_ref().unwrap()).header("idempotency-key", key);
    answer(request.json(body)).await
}

fn tenant(slug: &str) -> Value {
    json!({ "slug": slug, "name": "A name" })
}

/// The same order again gets the same answer and does nothing, also after a restart; the audit has it once.
#[tokio::test]
async fn the_same_order_is_done_once() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let first = order(&maria, "/api/tenants", "key 1", &tenant("globex")).await;
    assert_eq!(first.status, 201);
    let server = server.restart("ws://127.0.0.1:9/").await;
    let maria = Person { base: server.base.clone(), ..maria };
    let again = order(&maria, "/api/tenants", "key 1", &tenant("globex")).await;
    assert_eq!(
        (again.status, &again.text, again.header("content-type")),
        (first.status, &first.text, first.header("content-type"))
    );
    // Without the key it is another order.
    maria.post("/api/tenants", tenant("globex")).await.problem(409);
    let audit = maria.get("/api/audit?action=POST%20/api/tenants").await.text;
    assert_eq!(audit.lines().count(), 2, "{audit}");
    order(&maria, "/api/tenants", "", &tenant("initech")).await.problem(400);
}

/// One key is for one order of one actor; an order that was refused can be sent again.
#[tokio::test]
async fn another_order_with_the_key_is_refused() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let olga =
        server.add_person(&maria, "olga@example.org", json!([{ "tenant": "acme", "role": "owner" }])).await;
    let token = json!({ "uses": 1, "valid_seconds": 3600 });
    order(&maria, "/api/tenants/acme/join-tokens", "k", &json!({ "uses": 0, "valid_seconds": 3600 }))
        .await
        .problem(400);
    assert_eq!(order(&maria, "/api/tenants/acme/join-tokens", "k", &token).await.status, 201);
    let other = json!({ "uses": 2, "valid_seconds": 3600 });
    assert!(
        order(&maria, "/api/tenants/acme/join-tokens", "k", &other).await.problem(422).contains("new key")
    );
    order(&maria, "/api/tenants/acme/invitations", "k", &token).await.problem(422);
    assert_eq!(order(&olga, "/api/tenants/acme/join-tokens", "k", &other).await.status, 201);
}

/// A secret is shown once: the answer that held it is not kept, and whoever asks again learns what was made.
#[tokio::test]
async fn a_secret_is_not_kept_for_a_second_answer() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let wanted = json!({ "name": "ci", "role": "viewer", "valid_seconds": 3600 });
    let made = order(&maria, "/api/tenants/acme/api-tokens", "k", &wanted).await.json();
    let told = order(&maria, "/api/tenants/acme/api-tokens", "k", &wanted).await.problem(409);
    assert!(told.contains(made["id"].as_str().unwrap()), "{told}");
    assert_eq!(maria.get("/api/tenants/acme/api-tokens").await.json().as_array().unwrap().len(), 1);
}

/// Tokens, invitations and accounts too: an order that is repeated because its answer was lost must not leave a second one that nobody
/// knows of.
#[tokio::test]
async fn whatever_is_made_is_made_once() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let account =
        json!({ "email": "olga@example.org", "password": "a long enough password", "memberships": [] });
    for (path, wanted, answers) in [
        (
            "/api/tenants/acme/api-tokens",
            json!({ "name": "ci", "role": "viewer", "valid_seconds": 3600 }),
            409,
        ),
        ("/api/tenants/acme/join-tokens", json!({ "uses": 1, "valid_seconds": 3600 }), 409),
        ("/api/tenants/acme/invitations", json!({ "email": "olga@example.org", "role": "viewer" }), 409),
        // It holds no secret, so its answer is given again.
        ("/api/accounts", account, 201),
    ] {
        let count = async || {
            let list = maria.get(path).await.json();
            list.get("accounts").unwrap_or(&list).as_array().unwrap().len()
        };
        let before = count().await;
        let first = order(&maria, path, path, &wanted).await;
        let again = order(&maria, path, path, &wanted).await;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, answers), "{path}: {again:?}");
        assert_eq!(count().await, before + 1, "{path}");
        if answers == 409 {
            let made = first.json()["id"].as_str().unwrap().to_owned();
            let told = again.problem(409);
            assert!(told.contains(&made) && told.contains("shown once"), "{path}: {told}");
        }
    }
}

/// Of two at once one is done, and both get its answer.
#[tokio::test]
async fn two_at_once_are_one() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let body = tenant("globex");
    let (one, other) =
        tokio::join!(order(&maria, "/api/tenants", "k", &body), order(&maria, "/api/tenants", "k", &body));
    assert_eq!((one.status.as_u16(), other.status.as_u16(), &one.text), (201, 201, &other.text));
}

/// What was begun when the program was killed is not done a second time: whoever asks again is told that nobody knows.
#[tokio::test]
async fn an_order_that_was_cut_off_is_not_repeated() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let id = maria.account("acme").await;
    order(&maria, "/api/tenants", "k", &tenant("globex")).await;
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    let key = store.order_keys(&id).unwrap().remove(0);
    let whole = store.order(&id, &key).unwrap().unwrap();
    store.put_order(&id, &key, &Order { answer: None, ..whole }).await.unwrap();
    drop(store);
    let server = Server::start_in(folder, "ws://127.0.0.1:9/", None).await;
    let maria = Person { base: server.base.clone(), ..maria };
    let told = order(&maria, "/api/tenants", "k", &tenant("globex")).await.problem(409);
    assert!(told.contains("not known"), "{told}");
}
