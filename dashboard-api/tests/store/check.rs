//! Rows that do not fit each other.

use ecep_dashboard_api::store::{Remedy, Store, StoreError, check};

use serde_json::json;

use crate::{
    assert_sound, free, of_version_1,
    support::program::{Program, run},
    write,
};

const DEVICE: &str = "edge-1-abcd";
/// An entry of the audit that does not have its hash.
const FORGED: &str = r#"{"before":"","entry":"{}","hash":"0"}"#;

/// Each way in which a store may be damaged is found, told with table and key, and mended only without a guess.
#[test]
fn what_does_not_fit_is_found() {
    let (mend, refuse, look) = ("mend", "refuse", "look");
    let whole = of_version_1().tables;
    assert_eq!(check(&whole, 1), []);
    let account = whole.rows("accounts").keys().next().unwrap().clone();
    let key = whole.rows("device_of_key").keys().next().unwrap().clone();
    let invitation = |tenant: &str| {
        let secret = [0; 32];
        json!({ "id": "i1", "tenant": tenant, "email": "paul@example.org", "role": "viewer",
            "made_by": account, "secret": secret, "expires_at": 1 })
        .to_string()
    };
    let (invited, invited_nowhere) = (invitation("acme"), invitation("nobody"));
    let by_nobody = invited.replace(&account, "nobody");
    let alert = |tenant: &str| {
        json!({ "tenant": tenant, "name": "Edge", "view": { "id": "a1", "kind": "overload", "device": null,
            "container": null, "text": "", "raised_at": 0, "cleared_at": null, "acknowledged_at": null,
            "acknowledged_by": null } })
        .to_string()
    };
    let [alert_acme, alert_globex, alert_nobody] = ["acme", "globex", "nobody"].map(alert);
    let digest = "ab".repeat(32);
    let artifact = |tenant: &str| {
        json!({ "tenant": tenant, "digest": digest, "name": "app.tar", "kind": "files", "bytes": 1, "unpacked_bytes": 1,
            "architectures": [], "uploaded_at": 0 })
        .to_string()
    };
    let [artifact_acme, artifact_nobody] = ["acme", "nobody"].map(artifact);
    let (of_acme, of_nobody) = (format!("acme/{digest}"), format!("nobody/{digest}"));
    let version = json!({ "tenant": "acme", "application": "app", "number": 1, "source": { "kind": "image", "image": "nginx" },
        "settings": {}, "note": null, "bytes": null, "unpacked_bytes": null, "architectures": [], "added_at": 0 })
    .to_string();
    let delivered = format!("gone/acme/{digest}");
    let delivery = json!({ "device": "gone", "tenant": "acme", "digest": digest, "at": 0 }).to_string();
    let stored = |tenant: &str| {
        json!({ "tenant": tenant, "file": { "file": "f1", "kind": "log", "name": "web.log", "device": DEVICE,
            "container": "c1", "application": "web", "bytes": 1, "stored_at": 1, "deleted_at": null } })
        .to_string()
    };
    let [stored_acme, stored_nobody] = ["acme", "nobody"].map(stored);
    let deleted = json!({ "slug": "globex", "name": "Globex", "created_at": 0, "deleted_at": 1 }).to_string();
    // Table and key of a row that is changed, or removed; where that is found, and what becomes of it.
    let cases: Vec<(&str, &str, Option<&str>, &str, &str)> = vec![
        (
            "account_of_email",
            "nobody@example.org",
            Some("\"nobody\""),
            "account_of_email/nobody@example.org",
            mend,
        ),
        ("account_of_email", "maria@example.org", None, "missing in account_of_email", mend),
        ("device_of_key", &key, None, "missing in device_of_key", mend),
        ("device_of_key", "other", Some("\"edge-1-abcd\""), "device_of_key/other", mend),
        ("sessions", "cookie", Some(r#"{"account":"nobody","expires_at":1}"#), "sessions/cookie", mend),
        ("memberships", "nobody/acme", Some("\"owner\""), "memberships/nobody/acme", mend),
        ("devices", DEVICE, None, "reports/edge-1-abcd", mend),
        ("devices", DEVICE, None, "placements/c1", mend),
        ("accounts", &account, Some("{}"), "cannot be read", refuse),
        ("tenants", "acme", None, "tenant acme is not there", refuse),
        ("networks", "globex", Some("0"), "another tenant has the network 0", refuse),
        (
            "api_tokens",
            "renamed",
            whole.rows("api_tokens").values().next().map(String::as_str),
            "api_tokens/renamed",
            refuse,
        ),
        ("invitations", "i1", Some(&invited), "", ""),
        ("invitations", "i2", Some(&invited), "the row is that of i1", refuse),
        ("invitations", "i1", Some(&invited_nowhere), "tenant nobody is not there", refuse),
        ("invitations", "i1", Some(&by_nobody), "invitations/i1", mend),
        ("alerts", "acme/a1", Some(&alert_acme), "", ""),
        ("alerts", "acme/a1", Some(&alert_globex), "the row is that of globex/a1", refuse),
        ("alerts", "nobody/a1", Some(&alert_nobody), "alerts/nobody/a1", mend),
        ("artifacts", &of_acme, Some(&artifact_acme), "", ""),
        ("artifacts", &of_acme, Some(&artifact_nobody), "the row is that of nobody/", refuse),
        ("artifacts", &of_nobody, Some(&artifact_nobody), "tenant nobody is not there", refuse),
        (
            "uploads",
            "acme/u1",
            Some(r#"{"id":"u2","tenant":"acme","name":"a","bytes":1,"digest":null,"begun_at":0,"end":null}"#),
            "the row is that of acme/u2",
            refuse,
        ),
        (
            "applications",
            "acme/app",
            Some(r#"{"tenant":"acme","name":"app","created_at":0,"last_version":1}"#),
            "",
            "",
        ),
        ("versions", "acme/app/0000000001", Some(&version), "its application is not there", mend),
        ("deliveries", &delivered, Some(&delivery), "its device is not there", mend),
        ("stored_files", "acme/f1", Some(&stored_acme), "", ""),
        ("stored_files", "acme/f2", Some(&stored_acme), "the row is that of acme/f1", refuse),
        ("stored_files", "nobody/f1", Some(&stored_nobody), "stored_files/nobody/f1", mend),
        ("audit", "tenant/acme/1", Some(FORGED), "audit was changed", look),
        ("audit_marks", "gone", Some(r#"{"journal":"j","sequence":1}"#), "audit_marks/gone", mend),
        ("tenants", "globex", Some(&deleted), "memberships/maria-2b3c4d/globex", mend),
        ("placements", "c2", None, "", ""),
    ];
    for (table, key, row, told, remedy) in cases {
        let mut damaged = whole.clone();
        match row {
            Some(row) => drop(damaged.rows_mut(table).insert(key.to_owned(), row.to_owned())),
            None => assert!(damaged.rows_mut(table).remove(key).is_some(), "{table}/{key}"),
        }
        let findings = check(&damaged, 1);
        if remedy.is_empty() {
            assert_eq!(findings, [], "{table}/{key}");
            continue;
        }
        let finding = findings.iter().find(|finding| finding.to_string().contains(told));
        let finding = finding.unwrap_or_else(|| panic!("{table}/{key}: {findings:?}"));
        let found = match &finding.remedy {
            Remedy::Mend(_) => mend,
            Remedy::Look => look,
            Remedy::Refuse => refuse,
        };
        assert_eq!(found, remedy, "{finding}");
    }
    let mut twice = whole.clone();
    let row = whole.rows("placements")["c1"].replace("c1", "c9");
    twice.rows_mut("placements").insert("c9".into(), row);
    assert!(matches!(&check(&twice, 1)[..], [finding] if finding.remedy == Remedy::Look));
}

/// A start mends what needs no guess, once: afterwards all fits.
#[test]
fn a_start_mends_what_needs_no_guess() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut damaged = of_version_1().tables;
    damaged.rows_mut("account_of_email").clear();
    damaged.rows_mut("device_of_key").insert("stale".into(), "\"nobody\"".into());
    damaged.rows_mut("devices").remove(DEVICE);
    write(&damaged, &data);
    let (sound, said) = run(&["check"], &data);
    assert!(!sound && said.contains("device_of_key/stale"), "{said}");
    let program = Program::start(folder.path());
    assert!(program.log.lock().unwrap().contains("the store was mended"));
    program.kill();
    assert_sound(&data);
    let store = Store::open(&data).unwrap();
    assert!(store.account_of_email("maria@example.org").unwrap().is_some());
    assert_eq!(store.placements().unwrap(), []);
    assert_eq!(store.last_generation(&"c1".parse().unwrap()).unwrap(), Some(2));
}

/// Where a guess might be wrong it does not start, says which row it is, and goes on once that is removed.
#[test]
fn a_start_refuses_what_needs_a_guess() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut damaged = of_version_1().tables;
    damaged.rows_mut("networks").insert("globex".into(), "0".into());
    write(&damaged, &data);
    let refused = Store::open(&data).err().unwrap();
    assert!(matches!(&refused, StoreError::Damaged(what) if what.contains("networks/globex")), "{refused}");
    free(&data);
    let (sound, said) = run(&["check"], &data);
    assert!(!sound && said.contains("check --remove 'networks/globex'"), "{said}");
    let (sound, said) = run(&["check", "--remove", "networks/globex"], &data);
    assert!(sound, "{said}");
    Program::start(folder.path()).kill();
}

/// Every table that the store has must be known to the check, or what is in it is never looked at.
#[test]
fn no_table_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let db = loop {
        match sled::open(folder.path().join("store")) {
            Ok(db) => break db,
            Err(_) => std::thread::yield_now(),
        }
    };
    for name in db.tree_names().into_iter().filter(|name| !name.starts_with(b"__sled")) {
        let name = String::from_utf8(name.to_vec()).unwrap();
        let mut tables = of_version_1().tables;
        tables.rows_mut(&name).insert("broken".into(), "{".into());
        let findings = check(&tables, 1);
        assert!(findings.iter().any(|finding| finding.table == name), "{name} is not checked");
    }
}
