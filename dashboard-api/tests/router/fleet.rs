//! A device's way from enrolment to its tenants' lists.

use ecep_link::{CallError, Credentials, Link, LinkBuilder, LinkState};
use ecep_proto::api::{
    DeviceList, DeviceStatusEvents, FleetContainerList, FleetHello, FleetReport, Notices, Procedure, Topic,
    container::{ContainerState, ContainerView},
    fleet::{Hello, Report, TenantContainer},
    name::DeviceId,
    realm,
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    join, joined, platform,
    support::{
        Device, Person, Server, facts, now,
        router::TestRouter,
        wamp::{PATIENCE, Session},
    },
    ticket,
};

/// An enrolled device on the control realm, as an agent would be; it leaves when it is dropped.
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) link: Link,
    _stop: DropGuard,
}

impl Agent {
    /// Enrols, and joins the control realm.
    pub(crate) async fn enrol(router: &TestRouter, server: &Server, owner: &Person) -> Self {
        Self::enrol_serving(router, server, owner, |link, _| link).await
    }

    /// The same, and serves what this adds.
    pub(crate) async fn enrol_serving(
        router: &TestRouter,
        server: &Server,
        owner: &Person,
        serve: impl FnOnce(LinkBuilder, &DeviceId) -> LinkBuilder,
    ) -> Self {
        let (_, token) = owner.join_token(1).await;
        let enrolment = Device::new(1).enrolment(&token, "Edge 1");
        let enrolled = server.visitor().post("/api/device/enrol", enrolment).await.json();
        Self::connect_serving(router, server, enrolled["device"].as_str().unwrap(), serve).await
    }

    async fn connect_serving(
        router: &TestRouter,
        server: &Server,
        id: &str,
        serve: impl FnOnce(LinkBuilder, &DeviceId) -> LinkBuilder,
    ) -> Self {
        let (visitor, url, device) = (server.visitor(), router.url(), id.to_owned());
        let credentials = move || {
            let (visitor, url, device) = (visitor.clone(), url.clone(), device.clone());
            async move {
                let mut nonce = [0; 16];
                nonce[..8].copy_from_slice(&now().to_le_bytes());
                nonce[8..].copy_from_slice(&std::process::id().to_le_bytes().repeat(2));
                let request = Device::new(1).session(&device, now(), nonce);
                let answer = visitor.post("/api/device/session", request).await;
                let ticket = answer.json()["ticket"].as_str().ok_or("no ticket")?.to_owned();
                Ok(Credentials { url, realm: realm::CONTROL.to_owned(), authid: device, ticket })
            }
        };
        let stop = CancellationToken::new();
        let link = serve(Link::builder("agent", credentials), &id.parse().unwrap()).spawn(stop.clone());
        let mut state = link.state();
        let joined = state.wait_for(|state| matches!(state, LinkState::Joined { .. }));
        tokio::time::timeout(PATIENCE, joined).await.expect("the device joins in time").unwrap();
        Self { id: id.to_owned(), link, _stop: stop.drop_guard() }
    }

    pub(crate) async fn report(
        &self,
        problems: &[&str],
        containers: Vec<TenantContainer>,
    ) -> Result<u64, CallError> {
        let problems = problems.iter().map(|problem| (*problem).to_owned()).collect();
        let report = Report {
            at: now(),
            problems,
            containers,
            facts: None,
            is_complete: true,
            migrations: vec![],
            network_revision: 0,
            stats: None,
            shares: ecep_proto::api::share::ShareReport::default(),
        };
        Ok(self.link.call::<FleetReport>(FleetReport::URI, &report).await?.grants_revision)
    }
}

pub(crate) fn container(tenant: &str, id: &str) -> TenantContainer {
    TenantContainer {
        tenant: tenant.parse().unwrap(),
        container: ContainerView {
            id: id.parse().unwrap(),
            name: id.parse().unwrap(),
            application: "counter".parse().unwrap(),
            image: "counter:1".to_owned(),
            state: ContainerState::Running,
            exit_code: None,
            created_at: 1,
            started_at: Some(2),
            ports: vec![],
            address: None,
            version: None,
            run_once: false,
        },
    }
}

pub(crate) async fn browser(router: &TestRouter, person: &Person, tenant: &str) -> Session {
    join(router, &ticket(person, tenant).await).await.unwrap()
}

pub(crate) fn notice(text: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["text"].as_str().is_some_and(|said| said.contains(text))
}

fn status(liveness: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["liveness"] == liveness
}

/// The whole way: enrolled, joined, granted, reporting; its owner sees it live, and is told of each change.
#[tokio::test]
async fn a_device_appears_with_its_containers_and_its_changes_are_told() {
    let (router, server, maria) = platform().await;
    let mut browser = browser(&router, &maria, "acme").await;
    browser.subscribe(&DeviceStatusEvents::of_all_devices(), "wildcard").await;
    browser.subscribe(Notices::URI, "exact").await;

    let agent = Agent::enrol(&router, &server, &maria).await;
    let enrolled = browser.event(status("never")).await;
    assert_eq!((&enrolled["id"], &enrolled["name"]), (&json!(agent.id), &json!("Edge 1")));
    browser.event(notice("was enrolled")).await;

    let grants = agent.link.call::<FleetHello>(FleetHello::URI, &Hello { facts: facts() }).await.unwrap();
    assert_eq!(grants.tenants.len(), 1);
    let grant = &grants.tenants[0];
    assert_eq!(grant.tenant.as_str(), "acme");
    let on_tenant = Session::join(&router.url(), &grant.realm, &agent.id, &grant.ticket).await.unwrap();
    assert_eq!(on_tenant.role, "device");
    assert!(
        Session::join(&router.url(), &grant.realm, &agent.id, &grant.ticket).await.is_err(),
        "single use"
    );

    let containers = vec![container("acme", "c1"), container("globex", "forged")];
    assert_eq!(agent.report(&[], containers).await, Ok(grants.revision));
    let connected = browser.event(status("connected")).await;
    assert_eq!(connected["place"], "San José");
    browser.event(notice("Edge 1 is connected")).await;
    agent.report(&["The disk is full."], vec![container("acme", "c1")]).await.unwrap();
    let degraded = browser.event(status("degraded")).await;
    assert_eq!(degraded["reasons"], json!(["The disk is full."]));
    browser.event(notice("The disk is full.")).await;
    agent.report(&[], vec![container("acme", "c1")]).await.unwrap();
    browser.event(status("connected")).await;

    let list = browser.call(DeviceList::URI, json!({})).await.unwrap();
    // Stale on a machine that stood still since the last report.
    let liveness = list["devices"][0]["liveness"].as_str().unwrap();
    assert!(["connected", "stale"].contains(&liveness), "{list}");
    assert_eq!(list["devices"][0]["facts"]["cores"], 4);
    assert!(list["now"].as_u64() >= list["devices"][0]["last_seen_at"].as_u64());
    let placed = browser.call(FleetContainerList::URI, json!({})).await.unwrap();
    assert_eq!(placed["containers"].as_array().unwrap().len(), 1, "{placed}");
    assert_eq!(placed["containers"][0]["container"]["id"], "c1");
}

/// Another tenant sees neither the device nor what it claims to run there.
#[tokio::test]
async fn another_tenant_sees_nothing_of_it() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    joined(&server).await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    agent.report(&[], vec![container("acme", "c1"), container("globex", "forged")]).await.unwrap();
    let mut other = browser(&router, &maria, "globex").await;
    assert_eq!(other.call(DeviceList::URI, json!({})).await.unwrap()["devices"], json!([]));
    assert_eq!(other.call(FleetContainerList::URI, json!({})).await.unwrap()["containers"], json!([]));
}

/// A control plane that restarts still lists the containers, before the device has reported again.
#[tokio::test]
async fn the_last_known_containers_outlive_a_restart() {
    let (router, server, maria) = platform().await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    agent.report(&[], vec![container("acme", "c1")]).await.unwrap();
    let server = server.restart(&router.url()).await;
    joined(&server).await;
    let mut maria = server.visitor();
    maria.login(crate::support::EMAIL, crate::support::PASSWORD).await;
    let mut browser = browser(&router, &maria, "acme").await;
    let placed = browser.call(FleetContainerList::URI, json!({})).await.unwrap();
    assert_eq!(placed["containers"][0]["container"]["id"], "c1");
    assert_eq!(placed["containers"][0]["device"], agent.id.as_str());
}

/// A device that falls silent is told stale and then offline by the clock alone, and back by its next report.
#[tokio::test]
async fn a_silent_device_is_told_offline_and_back() {
    let (router, server, maria) = platform().await;
    let mut browser = browser(&router, &maria, "acme").await;
    browser.subscribe(&DeviceStatusEvents::of_all_devices(), "wildcard").await;
    browser.subscribe(Notices::URI, "exact").await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    agent.report(&[], vec![container("acme", "c1")]).await.unwrap();
    browser.event(status("connected")).await;
    // No report from here on: only the clock can tell. (A machine that stands still may skip what is between.)
    let any_status = |event: &Value| event["liveness"].is_string();
    let mut status_now = browser.event(any_status).await;
    if status_now["liveness"] == "stale" {
        status_now = browser.event(any_status).await;
    }
    assert_eq!(status_now["liveness"], "offline", "{status_now}");
    browser.event(notice("Edge 1 is offline")).await;
    let placed = browser.call(FleetContainerList::URI, json!({})).await.unwrap();
    assert_eq!(placed["containers"][0]["liveness"], "offline");
    agent.report(&[], vec![]).await.unwrap();
    browser.event(status("connected")).await;
}

/// A removed device loses its sessions in all realms, and gets no others.
#[tokio::test]
async fn a_removed_device_is_thrown_out() {
    let (router, server, maria) = platform().await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    let grants = agent.link.call::<FleetHello>(FleetHello::URI, &Hello { facts: facts() }).await.unwrap();
    let grant = &grants.tenants[0];
    let mut on_tenant = Session::join(&router.url(), &grant.realm, &agent.id, &grant.ticket).await.unwrap();
    assert_eq!(maria.delete(&format!("/api/tenants/acme/devices/{}", agent.id)).await.status, 204);
    let end = on_tenant.ended().await;
    assert!(end.uri.ends_with("killed") && end.message.contains("was removed"), "{end:?}");
    let mut state = agent.link.state();
    let lost = state.wait_for(|state| *state == LinkState::Connecting);
    tokio::time::timeout(PATIENCE, lost).await.expect("the device is thrown out in time").unwrap();
    let request = Device::new(1).session(&agent.id, now(), [9; 16]);
    server.visitor().post("/api/device/session", request).await.problem(403);
}
