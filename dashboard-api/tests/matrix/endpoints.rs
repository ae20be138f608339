//! Every endpoint of the table, asked by everybody.

use ecep_dashboard_api::http::endpoints::{Access, ENDPOINTS, Endpoint};
use reqwest::Method;
use serde_json::json;

use crate::{
    scene::{ACME, GLOBEX, NOBODYS, Scene},
    support::{Answer, Person, answer, bearer, client},
};

/// A path of the endpoint, in this tenant, naming nothing else that there is.
fn path(endpoint: &Endpoint, tenant: &str) -> String {
    let parts = endpoint.path.split('/').map(|part| match part {
        "{slug}" => tenant,
        part if part.starts_with('{') => "no-such-thing",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Sends it with a body that is right for no endpoint, so that nothing is changed.
async fn ask(person: &Person, endpoint: &Endpoint, tenant: &str) -> Answer {
    let body = (endpoint.method != Method::GET).then(|| json!({ "no such": "field" }));
    person.send(endpoint.method.clone(), &path(endpoint, tenant), body).await
}

async fn ask_by(scene: &Scene, token: &str, endpoint: &Endpoint, tenant: &str) -> Answer {
    bearer(&scene.server, endpoint.method.clone(), &path(endpoint, tenant), token).await
}

fn label(who: &str, endpoint: &Endpoint) -> String {
    format!("{who}: {} {}", endpoint.method, endpoint.path)
}

/// The same but for the tenant's name, so that nobody can tell which tenants there are.
fn assert_looks_missing(there: &Answer, nowhere: &Answer, label: &str) {
    assert_eq!(there.status, 404, "{label}: {there:?}");
    assert_eq!(there.status, nowhere.status, "{label}");
    assert_eq!(there.text.replace(ACME, "it"), nowhere.text.replace(NOBODYS, "it"), "{label}");
}

/// Who has no login or a made-up one must reach only what is for anyone.
#[tokio::test]
async fn nobody_reaches_what_needs_a_login() {
    let scene = Scene::start().await;
    let mut forged = scene.server.visitor();
    forged.cookie = Some("ecep=made-up".to_owned());
    for endpoint in ENDPOINTS {
        let is_open = matches!(endpoint.access, Access::Anyone | Access::Device);
        for person in [&scene.server.visitor(), &forged] {
            let got = ask(person, endpoint, ACME).await;
            assert_eq!(got.status != 401, is_open, "{}: {got:?}", label("nobody", endpoint));
        }
        if !is_open {
            for token in [
                "",
                "x",
                "x.y",
                &format!("{}.guess", scene.members[3].bearer().unwrap().split('.').next().unwrap()),
            ] {
                let got = ask_by(&scene, token, endpoint, ACME).await;
                assert_eq!(got.status, 401, "{}: {got:?}", label(token, endpoint));
            }
        }
    }
}

/// A tenant must look to everybody else, an administrator of the installation too, as if it did not exist.
#[tokio::test]
async fn a_tenant_is_invisible_to_others() {
    let scene = Scene::start().await;
    let of_tenant = ENDPOINTS.iter().filter(|endpoint| matches!(endpoint.access, Access::Tenant { .. }));
    let mut count = 0;
    for endpoint in of_tenant {
        for (who, person) in [("another owner", &scene.other), ("the administrator", &scene.admin)] {
            let (there, nowhere) = (ask(person, endpoint, ACME).await, ask(person, endpoint, NOBODYS).await);
            assert_looks_missing(&there, &nowhere, &label(who, endpoint));
        }
        for somebody in &scene.others {
            let Some(token) = somebody.bearer() else { continue };
            let there = ask_by(&scene, &token, endpoint, ACME).await;
            let nowhere = ask_by(&scene, &token, endpoint, NOBODYS).await;
            assert_looks_missing(&there, &nowhere, &label(somebody.name, endpoint));
        }
        count += 1;
    }
    assert!(count > 10, "the table has a tenant's endpoints");
}

/// In its own tenant each role and each token must be let through where the table says so, and only there. What ends the asker's own access
/// is asked last.
#[tokio::test]
async fn roles_reach_what_the_table_says() {
    let scene = Scene::start().await;
    let ends_own_access = |endpoint: &&Endpoint| {
        endpoint.path.ends_with("/leave")
            || endpoint.path.ends_with("/logout")
            || endpoint.path == "/api/account/logins"
    };
    let (last, first): (Vec<&Endpoint>, Vec<&Endpoint>) = ENDPOINTS.iter().partition(ends_own_access);
    for endpoint in first.into_iter().chain(last) {
        let Access::Tenant { members, tokens } = endpoint.access else { continue };
        for somebody in &scene.members {
            let label = label(somebody.name, endpoint);
            let (may, got) = match (somebody.person(), somebody.bearer()) {
                (Some(person), _) => (members.contains(&somebody.role), ask(person, endpoint, ACME).await),
                (None, token) => {
                    (tokens.contains(&somebody.role), ask_by(&scene, &token.unwrap(), endpoint, ACME).await)
                }
            };
            assert_eq!(got.status != 403, may, "{label}: {got:?}");
            assert_ne!(got.status, 401, "{label}: {got:?}");
            assert!(!got.status.is_server_error(), "{label}: {got:?}");
        }
    }
}

/// What is for administrators of the installation must be for them alone, and what is for people for no token.
#[tokio::test]
async fn the_installation_is_the_administrators() {
    let scene = Scene::start().await;
    for endpoint in ENDPOINTS {
        let label = |who| label(who, endpoint);
        if endpoint.access == Access::Administrator {
            for somebody in scene.members.iter().chain(&scene.others) {
                let Some(person) = somebody.person() else { continue };
                let got = ask(person, endpoint, GLOBEX).await;
                assert_eq!(got.status, 403, "{}: {got:?}", label(somebody.name));
            }
            let got = ask(&scene.admin, endpoint, NOBODYS).await;
            assert!(got.status != 401 && got.status != 403, "{}: {got:?}", label("the administrator"));
        }
        if matches!(endpoint.access, Access::Administrator | Access::Person) {
            for somebody in &scene.members {
                let Some(token) = somebody.bearer() else { continue };
                let got = ask_by(&scene, &token, endpoint, ACME).await;
                assert!(got.status == 403 || got.status == 401, "{}: {got:?}", label(somebody.name));
            }
        }
    }
}

/// A change must not be made by a page of another site in somebody's browser: not with its origin, nor without our header.
#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let scene = Scene::start().await;
    let cookie = scene.owner.cookie.clone().unwrap();
    for endpoint in ENDPOINTS {
        if endpoint.method == Method::GET || endpoint.access == Access::Device {
            continue;
        }
        let url = format!("{}{}", scene.server.base, path(endpoint, ACME));
        let request =
            || client().request(endpoint.method.clone(), &url).header("cookie", &cookie).json(&json!({}));
        let got = answer(request().header("origin", "https://evil.example").header("x-ecep-csrf", "1")).await;
        assert_eq!(got.status, 403, "{}: {got:?}", label("another origin", endpoint));
        let got = answer(request()).await;
        assert_eq!(got.status, 403, "{}: {got:?}", label("without the header", endpoint));
    }
}
