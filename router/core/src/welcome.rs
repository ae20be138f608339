//! What WELCOME says: who the client is, and what this router can do. Only what works is announced.

use ecep_proto::value::{Dict, Value};

use crate::session::Identity;
use crate::{broker, dealer};

/// The details of a WELCOME.
pub(crate) fn details(realm: &str, identity: &Identity) -> Dict {
    let role = |features: &[&str]| {
        let features = features.iter().map(|name| ((*name).to_owned(), Value::Bool(true))).collect();
        Value::Map(Dict::from([("features".into(), Value::Map(features))]))
    };
    let roles =
        Dict::from([("broker".into(), role(broker::FEATURES)), ("dealer".into(), role(dealer::FEATURES))]);
    Dict::from([
        ("agent".into(), Value::from(concat!("ecep-router/", env!("CARGO_PKG_VERSION")))),
        ("authid".into(), Value::from(identity.authid.as_str())),
        ("authmethod".into(), Value::from(identity.authmethod.as_str())),
        ("authprovider".into(), Value::from(identity.authprovider.as_str())),
        ("authrole".into(), Value::from(identity.authrole.as_str())),
        ("realm".into(), Value::from(realm)),
        ("roles".into(), Value::Map(roles)),
    ])
}
