//! Other people's clients, as their registries have them: each uses the features that it supports and tells what it
//! saw, and the test knows what it should have seen.

#![allow(
    clippy::print_stdout,
    reason = "a test says what it leaves out, and the programs of the quick start print"
)]

mod autobahn;
mod quick_start;
mod script;
mod served;
mod wamp_async;
mod wampy;

use ecep_router::Config;
use ecep_router::config::{DisclosureConfig, PrincipalConfig, RealmConfig, RoleConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

/// The realm of the scripts.
const INTEROP: &str = "com.interop";

/// Who can join it by ticket, beside those without a name.
const STAFF: [&str; 2] = ["alice", "bob"];

/// Everybody may do everything; of staff it is told who calls and publishes.
fn realm(folder: &TempDir) -> RealmConfig {
    let mut realm = Config::open_realm(INTEROP);
    realm.role.push(RoleConfig {
        name: "staff".into(),
        disclose_caller: DisclosureConfig::Always,
        disclose_publisher: DisclosureConfig::Always,
        trustlevel: Some(3),
        ..realm.role[0].clone()
    });
    realm.principal = STAFF.map(|authid| principal(folder, authid, "staff")).into();
    realm
}

fn principal(folder: &TempDir, authid: &str, role: &str) -> PrincipalConfig {
    let ticket_file = folder.path().join(authid);
    std::fs::write(&ticket_file, format!("ticket of {authid}")).unwrap();
    PrincipalConfig { authid: authid.into(), role: role.into(), ticket_file }
}

/// A router with that realm, and what Rust serves in it.
async fn start() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config { realm: vec![realm(&folder)], ..Config::default() }).await;
    served::serve(&server).await;
    server
}

/// What both scripts see, each under names of its own.
mod seen {
    use super::*;

    pub fn pattern_registration(exact_is_named: bool) -> Value {
        let exact = exact_is_named.then_some("org.p.a.b");
        json!([
            ["org.p.a.b", exact],
            ["org.p.a", "org.p.a.c"],
            ["org.p", "org.p.x"],
            ["org..a.c", "org.q.a.c"],
            ["org..x.y.c", "org.q.x.y.c"],
            ["org..x..c", "org.q.x.z.c"],
        ])
    }

    pub fn shared_registration() -> Value {
        json!({
            "roundrobin": [0, 1, 0, 1],
            "first": [0, 0, 0, 0],
            "last": [1, 1, 1, 1],
            "other policy": "wamp.error.procedure_already_exists",
        })
    }

    /// `exclude` and `eligible` name alice, the lists of authids alice and bob.
    pub fn receivers() -> Value {
        json!({
            "alice": ["eligible", "eligible_authid"],
            "bob": ["exclude", "eligible_authid"],
            "nobody": ["exclude", "exclude_authid", "exclude_authrole", "eligible_authrole"],
        })
    }

    pub fn session_meta() -> Value {
        json!([
            [true, "bob", "staff", "ticket"],
            [true, "bob"],
            [true, 1],
            [true, "bob", "staff"],
            "wamp.error.no_such_session",
        ])
    }

    pub fn registration_meta(uri: &str) -> Value {
        json!([uri, "prefix", "random", true, null, true, true, true, 1, true, true, true, true])
    }

    pub fn subscription_meta(uri: &str) -> Value {
        json!([uri, "prefix", true, null, true, true, true, 1, true, true, true, true])
    }
}
