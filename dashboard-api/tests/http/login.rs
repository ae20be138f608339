//! Logging in and out, the cookie, the limits, and requests from other sites.

use std::net::IpAddr;

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, EMAIL, PASSWORD, Server, answer, client};

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

/// Guesses at one account's password, in parallel, each from an address of its own or all from one.
async fn guess(server: &Server, email: &str, from: impl Fn(u32) -> IpAddr, count: u32) -> Vec<Answer> {
    let guesses = (0..count).map(|number| {
        let client = reqwest::Client::builder().no_proxy().local_address(from(number)).build().unwrap();
        let body = json!({ "email": email, "password": "guess guess guess" });
        let request = client.post(format!("{}/api/login", server.base)).json(&body);
        tokio::spawn(async move { answer(request).await })
    });
    let mut answers = Vec::new();
    for guess in guesses.collect::<Vec<_>>() {
        answers.push(guess.await.unwrap());
    }
    answers
}

/// Guessing from one address is slowed down, whether there is such an account or not; its owner, who comes from another
/// one, and others at the same address get in.
#[tokio::test]
async fn guessing_is_limited_by_account_and_address() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    server.add_person(&maria, "vera@example.org", json!([])).await;
    let attacker = IpAddr::from([127, 0, 0, 9]);
    for email in [EMAIL, "nobody@example.org"] {
        let answers = guess(&server, email, |_| attacker, 25).await;
        let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert!((1..=5).contains(&refused.len()), "{email}: {}", refused.len());
        assert!(refused[0].problem(429).contains("Try again in"));
        assert!(refused[0].header("retry-after").parse::<u64>().unwrap() >= 1);
        answers.iter().filter(|answer| answer.status != 429).for_each(|answer| drop(answer.problem(401)));
    }
    let neighbour = reqwest::Client::builder().no_proxy().local_address(attacker).build().unwrap();
    let body = json!({ "email": "vera@example.org", "password": PASSWORD });
    assert_eq!(answer(neighbour.post(format!("{}/api/login", server.base)).json(&body)).await.status, 200);
    server.visitor().login(EMAIL, PASSWORD).await;
}

/// Whoever guesses from everywhere must not keep the owner out of a browser that they used before.
#[tokio::test]
async fn an_account_under_attack_is_open_to_its_owners_browser() {
    let server = Server::start().await;
    let mut maria = server.set_up().await;
    let login = maria.login(EMAIL, PASSWORD).await;
    let cookies: Vec<&str> =
        login.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    let known = cookies.iter().find(|cookie| cookie.starts_with("ecep-known=")).unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=15552000"] {
        assert!(known.contains(part), "{known}");
    }
    assert!(!known.contains("maria"), "{known}");
    let mut rounds = 0_u8;
    loop {
        rounds += 1;
        let answers = guess(&server, EMAIL, |number| [127, 0, rounds, number as u8 + 1].into(), 50).await;
        if answers.iter().any(|answer| answer.status == 429) {
            break;
        }
        assert!(rounds < 10, "of 500 guesses from as many addresses none was refused");
    }
    let mut owner = server.visitor();
    owner.cookie = Some(known.split(';').next().unwrap().to_owned());
    for _ in 0..10 {
        let mistyped = json!({ "email": EMAIL, "password": "wrong horse battery" });
        owner.post("/api/login", mistyped).await.problem(401);
    }
    owner.login(EMAIL, PASSWORD).await;
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
