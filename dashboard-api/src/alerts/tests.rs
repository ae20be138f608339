//! What tenants are told of alerts, and what is kept.

use ecep_fleet::alerts::{GRACE_MS, OFFLINE_CLEAR_MS, OFFLINE_RAISE_MS};

use super::*;

const START: u64 = 1_800_000_000_000;

fn device() -> DeviceId {
    "edge".parse().unwrap()
}

fn tenant(slug: &str) -> TenantSlug {
    slug.parse().unwrap()
}

/// What the view would say: the device belongs to both tenants.
fn look() -> FleetLook {
    let mut look = FleetLook::default();
    let tenants = vec![tenant("acme"), tenant("globex")];
    look.devices.insert(device(), ("Edge".to_owned(), tenants, "No report.".to_owned()));
    look
}

async fn store(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(folder.path()).unwrap();
    let enrolled = crate::store::Device {
        id: device(),
        name: "Edge".to_owned(),
        place: None,
        owner: tenant("acme"),
        public_key: "key".to_owned(),
        enrolled_at: 1,
        facts: serde_json::from_value(serde_json::json!({
            "agent_version": "", "architecture": "", "kernel": "", "cores": 1, "memory_total_bytes": 1,
            "engine": { "kind": "sim", "reachable": true, "version": null, "api_version": null, "live_restore": null, "problems": [] },
            "hostname": "", "addresses": [],
        }))
        .unwrap(),
        location: None,
        old_key: None,
        key_since: None,
        rotation_ordered: false,
        shares: vec![crate::store::Share {
            tenant: tenant("globex"),
            state: ecep_proto::api::share::ShareState::Accepted,
            terms: ecep_proto::api::share::Terms::default(),
            offered_at: 1,
            accepted_at: Some(1),
        }],
    };
    let token = crate::store::JoinToken {
        id: "token".to_owned(),
        tenant: tenant("acme"),
        secret: crate::secret::SecretHash::of("x"),
        uses_left: 1,
        expires_at: u64::MAX,
        device: None,
    };
    let acme = crate::store::Tenant {
        slug: tenant("acme"),
        name: "Acme".to_owned(),
        created_at: 1,
        deleted_at: None,
    };
    let maria = crate::store::Account::maria();
    store.add_account(&maria, &[]).await.unwrap();
    store.add_tenant(&acme, "maria").await.unwrap();
    store.add_join_token(&token, "maria").await.unwrap();
    store.enrol(START, "token", &enrolled).await.unwrap();
    store
}

/// Looks every second, and gives what is said.
fn watch(book: &AlertBook, from: u64, seconds: u64, liveness: Liveness) -> Vec<Said> {
    let said = (0..=seconds).flat_map(|second| {
        let now = from + second * 1_000;
        let outcomes = book.look(now, vec![(device(), liveness)]);
        book.keep(now, outcomes, &look())
    });
    said.collect()
}

const RAISED: u64 = START + GRACE_MS + OFFLINE_RAISE_MS;

/// Each tenant with a share is told once of the start and once of the end, also over a restart in between, and sees and
/// acknowledges its own.
#[tokio::test]
async fn an_alert_is_told_once_over_a_restart_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let book = AlertBook::load(store.clone(), START).unwrap();
    let said = watch(&book, START, (GRACE_MS + 60_000) / 1_000, Liveness::Offline);
    let text = "Device Edge is offline. No report.".to_owned();
    let expected = ["acme", "globex"].map(|slug| Said {
        tenant: tenant(slug),
        level: NoticeLevel::Error,
        text: text.clone(),
    });
    assert_eq!(said, expected);
    let query = AlertQuery::default();
    let listed = book.list(&tenant("acme"), &query).unwrap().alerts;
    assert_eq!((listed.len(), listed[0].raised_at, &listed[0].text), (1, RAISED, &text));
    assert_eq!(listed[0].device, Some(device()));

    let seen = book.acknowledge(RAISED + 5, &tenant("acme"), &listed[0].id, "maria").await.unwrap();
    assert_eq!((seen.acknowledged_at, seen.acknowledged_by.as_deref()), (Some(RAISED + 5), Some("maria")));
    let again = book.acknowledge(RAISED + 9, &tenant("acme"), &listed[0].id, "vera").await.unwrap();
    assert_eq!(again, seen);
    let forged = book.acknowledge(RAISED, &tenant("globex"), &listed[0].id, "eve").await.unwrap_err();
    assert_eq!(forged.uri, ErrorKind::NotFound);
    drop(book);

    let later = RAISED + 1_000_000;
    let book = AlertBook::load(store, later).unwrap();
    assert_eq!(watch(&book, later, 200, Liveness::Offline), []);
    assert_eq!(book.active()[&AlertKind::DeviceOffline], 2);
    let back = later + 300_000;
    let said = watch(&book, back, OFFLINE_CLEAR_MS / 1_000, Liveness::Connected);
    assert_eq!(said.len(), 2);
    assert_eq!((said[0].level, said[0].text.as_str()), (NoticeLevel::Success, "Device Edge is connected."));
    assert_eq!(book.list(&tenant("acme"), &query).unwrap().alerts, []);
    let all = AlertQuery { which: AlertFilter::All, ..query };
    let kept = book.list(&tenant("acme"), &all).unwrap().alerts;
    assert_eq!(kept[0].cleared_at, Some(back + OFFLINE_CLEAR_MS));
    assert_eq!(kept[0].acknowledged_by.as_deref(), Some("maria"), "what was seen stays seen");
    assert!(book.active().is_empty());
}

/// A long list comes in pages that neither repeat nor miss one.
#[tokio::test]
async fn lists_are_paged() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let book = AlertBook::load(store, START).unwrap();
    for number in 0..25 {
        let container: ContainerId = format!("c{number}").parse().unwrap();
        let operation: OperationId = format!("move-{number}").parse().unwrap();
        let outcomes = book.moved(START + number, &tenant("acme"), &container, &operation, false);
        assert_eq!(book.keep(START + number, outcomes, &look()), [], "the move's own notice says it");
    }
    let mut query = AlertQuery { limit: Some(10), ..AlertQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = book.list(&tenant("acme"), &query).unwrap();
        seen.extend(page.alerts.iter().map(|alert| alert.raised_at - START));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).rev().collect::<Vec<u64>>());
    for limit in [0, MAX_ALERTS + 1] {
        let query = AlertQuery { limit: Some(limit), ..AlertQuery::default() };
        assert_eq!(book.list(&tenant("acme"), &query).unwrap_err().uri, ErrorKind::InvalidArgument);
    }
    assert_eq!(book.list(&tenant("globex"), &AlertQuery::default()).unwrap().alerts, []);
}

/// A move that a person gave up has failed as it should.
#[tokio::test]
async fn a_cancelled_move_alarms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let book = AlertBook::load(store(&folder).await, START).unwrap();
    let (container, operation): (ContainerId, OperationId) =
        ("web".parse().unwrap(), "move".parse().unwrap());
    book.cancelled(operation.clone());
    assert_eq!(book.moved(START, &tenant("acme"), &container, &operation, false), []);
    assert_eq!(book.moved(START, &tenant("acme"), &container, &operation, false).len(), 1, "once");
}

/// A removed device's alert does not stay for ever, not even if the process ended before it was cleared.
#[tokio::test]
async fn a_removed_devices_alerts_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let book = AlertBook::load(store.clone(), START).unwrap();
    watch(&book, START, (GRACE_MS + 60_000) / 1_000, Liveness::Offline);
    drop(book);
    store.remove_device(&tenant("acme"), &device(), &[], RAISED).await.unwrap();
    let book = AlertBook::load(store, RAISED + 1_000).unwrap();
    assert_eq!(book.list(&tenant("acme"), &AlertQuery::default()).unwrap().alerts, []);
    assert!(book.active().is_empty());
}

/// Whoever has no share in a device any more must not hear of it: its alert is over for that tenant, and its end is told to
/// the others alone.
#[tokio::test]
async fn a_share_that_is_over_takes_its_alerts_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let book = AlertBook::load(store(&folder).await, START).unwrap();
    watch(&book, START, (GRACE_MS + 60_000) / 1_000, Liveness::Offline);
    let count = |slug| book.list(&tenant(slug), &AlertQuery::default()).unwrap().alerts.len();
    assert_eq!((count("acme"), count("globex")), (1, 1));
    let later = RAISED + 1_000_000;
    book.leave(later, &tenant("globex"), &device());
    assert_eq!((count("acme"), count("globex")), (1, 0));
    let said = watch(&book, later, OFFLINE_CLEAR_MS / 1_000, Liveness::Connected);
    assert_eq!(said.into_iter().map(|said| said.tenant).collect::<Vec<_>>(), [tenant("acme")]);
}

/// A share that ended right before the end of the process leaves no alert either.
#[tokio::test]
async fn an_alert_of_a_share_that_is_gone_is_not_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let book = AlertBook::load(store.clone(), START).unwrap();
    watch(&book, START, (GRACE_MS + 60_000) / 1_000, Liveness::Offline);
    drop(book);
    let end = |row: &mut crate::store::Device| {
        row.shares.clear();
        Ok(())
    };
    store.change_device(&device(), end).await.unwrap();
    let book = AlertBook::load(store, RAISED + 1_000).unwrap();
    let list = |slug| book.list(&tenant(slug), &AlertQuery::default()).unwrap().alerts;
    assert_eq!((list("acme").len(), list("globex").len()), (1, 0));
}
