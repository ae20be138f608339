//! The audit over WAMP: calls that the control plane serves, what devices tell, and who may read it.

use ecep_link::{CallError, Link};
use ecep_proto::api::{
    AuditList, AuditReport, ContainerStop, DeviceList, Home, MigrationCancel, PROCEDURES, Procedure,
    Server as ServedBy,
    audit::{
        ActorKind, AuditEntry, AuditPage, AuditReport as Report, DeviceCall, Outcome, Told, ViaKind,
        is_audited,
    },
    reply::Caller,
};
use serde_json::{Value, json};

use crate::{
    fleet::Agent,
    join, platform,
    support::{now, wamp::Session},
    ticket,
};

async fn list(session: &mut Session, query: Value) -> AuditPage {
    serde_json::from_value(session.call(AuditList::URI, query).await.unwrap()).unwrap()
}

/// A call that may change something is written down with who called; a read is not; and only owners see it, by pages.
#[tokio::test]
async fn calls_are_written_down_for_owners() {
    let (router, server, maria) = platform().await;
    let membership = json!([{ "tenant": "acme", "role": "operator" }]);
    let otto = server.add_person(&maria, "otto@example.org", membership).await;
    let mut operator = join(&router, &ticket(&otto, "acme").await).await.unwrap();
    operator.call(DeviceList::URI, json!({})).await.unwrap();
    for migration in ["m1", "m2"] {
        operator.call(MigrationCancel::URI, json!({ "migration": migration })).await.unwrap_err();
    }
    operator.call(MigrationCancel::URI, json!({ "migration": 5 })).await.unwrap_err();
    assert!(operator.call(AuditList::URI, json!({})).await.unwrap_err().uri.contains("not_authorized"));
    let mut owner = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    let query = json!({ "action": MigrationCancel::URI });
    let found = list(&mut owner, query).await.entries;
    let AuditEntry { actor, via, address, target, outcome, .. } = &found[0];
    assert_eq!((actor.authid.as_str(), actor.kind), (otto.account("acme").await.as_str(), ActorKind::Person));
    assert_eq!((via.as_ref().unwrap().kind, address.as_deref()), (ViaKind::WampSession, Some("127.0.0.1")));
    assert_eq!((target.as_str(), *outcome), ("m1", Outcome::Refused));
    // Refusals that are alike are counted.
    assert_eq!(found.len(), 1);
    assert!(list(&mut owner, json!({ "action": DeviceList::URI })).await.entries.is_empty());
    let all = list(&mut owner, json!({})).await;
    assert!(all.next.is_none());
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = list(&mut owner, json!({ "limit": 1, "after": after })).await;
        pages.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, all.entries);
    assert!(pages.iter().map(|entry| &entry.id).is_sorted_by(|a, b| a > b));
    assert!(owner.call(AuditList::URI, json!({ "limit": 501 })).await.is_err());
}

/// A secret in the arguments of any changing procedure must not be in the audit, and each of them must be.
#[tokio::test]
async fn no_secret_of_a_call_is_written_down() {
    const MARK: &str = "marked-secret";
    let (router, _server, maria) = platform().await;
    let mut owner = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    let served =
        |one: &&ecep_proto::api::ProcedureInfo| is_audited(one) && one.server == ServedBy::ControlPlane;
    let changing: Vec<_> = PROCEDURES.iter().filter(served).collect();
    assert!(!changing.is_empty() && changing.iter().all(|one| one.home == Home::Tenant));
    for procedure in &changing {
        let sent = json!({ "password": MARK, "token": MARK, "secret": MARK, "env": { "KEY": MARK }, "container": { "x": MARK } });
        owner.call(procedure.uri, sent).await.unwrap_err();
    }
    let text = serde_json::to_string(&list(&mut owner, json!({})).await).unwrap();
    assert!(!text.contains(MARK), "{text}");
    for procedure in changing {
        assert!(text.contains(procedure.uri), "{} is missing in {text}", procedure.uri);
    }
}

async fn report(link: &Link, calls: &[(u64, &str)]) -> Result<u64, CallError> {
    let call = |(sequence, tenant): &(u64, &str)| DeviceCall {
        sequence: *sequence,
        at: now() - 60_000,
        tenant: tenant.parse().unwrap(),
        caller: Caller { session: 5, authid: "somebody".to_owned(), authrole: "operator".to_owned() },
        told: Told {
            action: ContainerStop::URI.to_owned(),
            target: format!("c{sequence}"),
            outcome: Outcome::Done,
            error: None,
            detail: [("password".to_owned(), "from an agent that tells too much".to_owned())].into(),
        },
    };
    let report = Report { journal: "j1".to_owned(), sent_at: now(), calls: calls.iter().map(call).collect() };
    Ok(link.call::<AuditReport>(AuditReport::URI, &report).await?.sequence)
}

/// What a device tells is written down once, marked as late and as the device's word, also across a restart; it cannot write
/// into another tenant's audit.
#[tokio::test]
async fn a_devices_calls_are_written_down_once() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let device = Agent::enrol(&router, &server, &maria).await;
    assert_eq!(report(&device.link, &[(1, "acme"), (2, "globex")]).await, Ok(2));
    assert_eq!(report(&device.link, &[(1, "acme"), (2, "acme"), (3, "acme")]).await, Ok(3));
    let server = server.restart(&router.url()).await;
    crate::joined(&server).await;
    assert_eq!(report(&device.link, &[(3, "acme")]).await, Ok(3));
    let maria = crate::support::Person { base: server.base.clone(), ..maria };
    let mut owner = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    let found = list(&mut owner, json!({ "action": ContainerStop::URI })).await.entries;
    let told: Vec<_> =
        found.iter().map(|entry| (entry.target.as_str(), entry.late, entry.detail.len())).collect();
    assert_eq!(told, [("c3", true, 0), ("c2", true, 0), ("c1", true, 0)]);
    assert_eq!(found[0].device.as_ref().map(ToString::to_string), Some(device.id.clone()));
    let mut other = join(&router, &ticket(&maria, "globex").await).await.unwrap();
    assert!(list(&mut other, json!({ "action": ContainerStop::URI })).await.entries.is_empty());
    // A person cannot speak for a device.
    assert!(owner.call(AuditReport::URI, json!({})).await.is_err());
}
