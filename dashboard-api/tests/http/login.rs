//! Logging in and out, the cookie, the limits, and requests from other sites.

use reqwest::Method;
use serde_json::json;

use crate::support::{EMAIL, PASSWORD, Server, answer, client};

/// A wrong password and an unknown account must look the same, or accounts could be listed by trying.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_look_the_same() {
    let server = Server::start().await;
    server.set_up().await;
    let visitor = server.visitor();
    let wrong =
        visitor.post("/api/login", json!({ "email": EMAIL, "password": "wrong horse battery" })).await;
    let unknown = visitor.post("/api/login", json!({ "email": "x@example.org", "password": PASSWORD })).await;
    assert_eq!(wrong.problem(401), unknown.problem(401));
    assert!(wrong.headers.get("set-cookie").is_none());
}

/// The cookie's attributes keep scripts and other sites away from it.
#[tokio::test]
async fn the_cookie_is_guarded() {
    let server = Server::start().await;
    let mut maria = server.set_up().await;
    let cookie = maria.login(" Maria@Example.ORG ", PASSWORD).await.header("set-cookie").to_owned();
    for part in ["ecep=", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");
}

/// Behind TLS the cookie must never travel in the clear, nor be planted by a neighbouring host.
#[tokio::test]
async fn behind_https_the_cookie_is_a_host_cookie() {
    let server = Server::start_with("ws://127.0.0.1:9/", Some("https://dashboard.example.org")).await;
    let mut maria = server.set_up().await;
    let cookie = maria.login(EMAIL, PASSWORD).await.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-ecep=") && cookie.ends_with("; Secure"), "{cookie}");
    assert_eq!(maria.get("/api/session").await.status, 200);
    maria.cookie = maria.cookie.map(|cookie| cookie.replace("__Host-ecep", "ecep"));
    maria.get("/api/session").await.problem(401);
}

/// A login ends when the person says so, for every copy of the cookie.
#[tokio::test]
async fn logging_out_ends_the_session() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    assert_eq!(maria.get("/api/session").await.json()["email"], EMAIL);
    let out = maria.send(Method::POST, "/api/logout", None).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert!(maria.get("/api/session").await.problem(401).contains("Log in"));
    assert_eq!(maria.send(Method::POST, "/api/logout", None).await.status, 204);
}

/// A new login in the same browser leaves no old one behind, and a made-up cookie opens nothing.
#[tokio::test]
async fn a_new_login_replaces_the_old_one() {
    let server = Server::start().await;
    let old = server.set_up().await;
    let mut new = old.clone();
    new.login(EMAIL, PASSWORD).await;
    assert_eq!(new.get("/api/session").await.status, 200);
    old.get("/api/session").await.problem(401);
    let mut forged = server.visitor();
    forged.cookie = Some("ecep=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
    forged.get("/api/session").await.problem(401);
}

/// Guessing one account's password is slowed down, also with the right one at last; others still get in.
#[tokio::test]
async fn guessing_is_limited_by_account() {
    let server = Server::start().await;
    server.set_up().await;
    let guess = json!({ "email": "victim@example.org", "password": "guess guess guess" });
    let guesses = (0..40).map(|_| {
        let (visitor, guess) = (server.visitor(), guess.clone());
        tokio::spawn(async move { visitor.post("/api/login", guess).await })
    });
    let mut refused = None;
    for guess in guesses.collect::<Vec<_>>() {
        let answer = guess.await.unwrap();
        if answer.status == 429 {
            refused = Some(answer);
        } else {
            answer.problem(401);
        }
    }
    let refused = refused.expect("of 40 guesses none was refused");
    assert!(refused.problem(429).contains("Try again in"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    server.visitor().login(EMAIL, PASSWORD).await;
}

/// Another site that makes a logged-in browser send something must change nothing.
#[tokio::test]
async fn changes_from_other_sites_are_refused() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let url = format!("{}/api/tenants", server.base);
    let cookie = maria.cookie.clone().unwrap();
    let wanted = json!({ "slug": "evil", "name": "Evil" });
    let request = || client().post(&url).header("cookie", &cookie).json(&wanted);

    let without = answer(request()).await.problem(403);
    assert!(without.contains("x-ecep-csrf"), "{without}");
    for origin in ["https://evil.example", "null", &format!("{}.evil.example", server.base)] {
        let refused =
            answer(request().header("x-ecep-csrf", "1").header("origin", origin)).await.problem(403);
        assert!(refused.contains("another site"), "{refused}");
    }
    let login = client().post(format!("{}/api/login", server.base)).header("origin", "https://evil.example");
    answer(login.json(&json!({ "email": EMAIL, "password": PASSWORD }))).await.problem(403);
    let own = answer(request().header("x-ecep-csrf", "1").header("origin", &server.base)).await;
    assert_eq!(own.status, 201, "{own:?}");
}

/// Every change needs the header when the cookie is there: one that forgot it would be a hole.
#[tokio::test]
async fn no_change_goes_without_the_header() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for (method, path) in [
        (Method::POST, "/api/setup"),
        (Method::POST, "/api/login"),
        (Method::POST, "/api/logout"),
        (Method::POST, "/api/wamp-ticket"),
        (Method::POST, "/api/accounts"),
        (Method::POST, "/api/tenants"),
        (Method::POST, "/api/tenants/acme/join-tokens"),
        (Method::DELETE, "/api/tenants/acme/join-tokens/x"),
        (Method::POST, "/api/tenants/acme/api-tokens"),
        (Method::DELETE, "/api/tenants/acme/api-tokens/x"),
        (Method::DELETE, "/api/tenants/acme/devices/x"),
    ] {
        let request = client().request(method.clone(), format!("{}{path}", server.base));
        let refused = answer(request.header("cookie", maria.cookie.as_ref().unwrap()).json(&json!({}))).await;
        assert!(refused.problem(403).contains("x-ecep-csrf"), "{method} {path}");
    }
    assert_eq!(maria.get("/api/session").await.status, 200);
}
