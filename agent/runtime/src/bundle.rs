//! Changes to the OCI bundle of a container that is to be restored: the network that it gets, and the options that runc hands to
//! CRIU. Pure, but for [`read`] and [`replace`].

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::order::{Connections, Order, Then};

/// The annotation by which runc lets a container choose CRIU's configuration file (runc 1.0 and later).
const CRIU_CONFIGURATION: &str = "org.criu.config";
/// By this word among its arguments the engine's hook that connects a network is known (Docker to 27).
const ENGINES_HOOK: &str = "libnetwork-setkey";

/// How a container gets its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A network of its own, which this hook of the engine's connects.
    ByHook(Value),
    /// A network of its own, which the engine connects between `create` and `start`.
    AfterCreate,
    /// The host's, or another container's: nothing of it may be touched.
    Shared,
}

/// CRIU's configuration file for this restore. Where it is given, runc ignores `/etc/criu/runc.conf`.
pub fn criu_configuration(order: &Order) -> String {
    let connections = match order.connections {
        Connections::Keep => "tcp-established",
        Connections::Close => "tcp-close",
    };
    let then = match order.then {
        Then::Run => "",
        // Nothing may run before the freezer has it: what a program sends meanwhile would be lost, and it is not let out.
        Then::Freeze => "leave-stopped\n",
    };
    // A container in isolation is cut off before its sockets are back; locking its network costs CRIU two starts of iptables.
    let lock = if order.isolated { "network-lock skip\n" } else { "" };
    format!("log-file restore.log\n{connections}\n{then}{lock}")
}

/// How the container described by a bundle's configuration gets its network.
pub fn network(configuration: &Value) -> Network {
    let is_own = |namespace: &Value| namespace["type"] == "network" && namespace["path"].is_null();
    if !list(&configuration["linux"]["namespaces"]).iter().any(is_own) {
        return Network::Shared;
    }
    let hooks = list(&configuration["hooks"]["prestart"]);
    hooks
        .iter()
        .find(|hook| connects(hook))
        .map_or(Network::AfterCreate, |hook| Network::ByHook(hook.clone()))
}

/// The path of CRIU's configuration file, and the network that is made already, where one is.
pub fn prepare(configuration: &mut Value, criu_configuration: &Path, network: Option<&Path>) {
    configuration["annotations"][CRIU_CONFIGURATION] = json!(criu_configuration);
    let Some(network) = network else { return };
    for namespace in configuration["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
        if namespace["type"] == "network" {
            namespace["path"] = json!(network);
        }
    }
    if let Some(hooks) = configuration["hooks"]["prestart"].as_array_mut() {
        hooks.retain(|hook| !connects(hook));
    }
}

fn connects(hook: &Value) -> bool {
    list(&hook["args"]).iter().any(|word| word == ENGINES_HOOK)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The bundle's `config.json`.
///
/// # Errors
/// The file cannot be read, or is no JSON.
pub fn read(bundle: &Path) -> std::io::Result<Value> {
    let configuration: Value = serde_json::from_slice(&fs::read(bundle.join("config.json"))?)?;
    if configuration.is_object() {
        return Ok(configuration);
    }
    Err(std::io::Error::other("config.json holds no object"))
}

/// Puts another one in its place.
///
/// # Errors
/// The file cannot be replaced.
pub fn replace(bundle: &Path, configuration: &Value) -> std::io::Result<()> {
    let draft = bundle.join("config.json.new");
    fs::write(&draft, serde_json::to_vec(configuration)?)?;
    fs::rename(&draft, bundle.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            images: "/i".into(),
            isolated: true,
            then: Then::Freeze,
            connections: Connections::Keep,
            waits: false,
            addresses: vec![[10, 201, 0, 5].into()],
        }
    }

    /// Docker to 27: its own hook connects the network that we made, and must not be run again by runc. Others stay.
    #[test]
    fn the_engines_hook_is_taken_out() {
        let engines = json!({"path": "/d", "args": ["libnetwork-setkey", "-exec-root=/x", "24ce", "1b"]});
        let other = json!({"path": "/n"});
        let mut configuration = json!({
            "hooks": {"prestart": [engines, other]},
            "linux": {"namespaces": [{"type": "pid"}, {"type": "network"}]},
        });
        assert_eq!(network(&configuration), Network::ByHook(engines));
        prepare(&mut configuration, Path::new("/c"), Some(Path::new("/net")));
        assert_eq!(configuration["hooks"]["prestart"], json!([other]));
        assert_eq!(
            configuration["linux"]["namespaces"],
            json!([{"type": "pid"}, {"type": "network", "path": "/net"}])
        );
        assert_eq!(configuration["annotations"]["org.criu.config"], "/c");
    }

    /// A copy that is to be frozen must not run a single step before; one that is to run must not stay stopped.
    #[test]
    fn only_what_is_frozen_afterwards_is_left_stopped() {
        assert!(criu_configuration(&order()).lines().any(|line| line == "leave-stopped"));
        let running = Order { then: Then::Run, isolated: false, connections: Connections::Close, ..order() };
        assert_eq!(criu_configuration(&running), "log-file restore.log\ntcp-close\n");
    }

    /// Without a lock packets would reach sockets that are half restored, unless the container is cut off.
    #[test]
    fn only_what_is_cut_off_is_not_locked() {
        let skips = |order: &Order| criu_configuration(order).contains("network-lock skip");
        assert!(skips(&order()));
        assert!(!skips(&Order { isolated: false, ..order() }));
    }

    /// Docker 28 connects after `create`. In the host's network, or another container's, we would cut off others.
    #[test]
    fn how_it_gets_its_network() {
        let of = |namespaces: Value| network(&json!({"linux": {"namespaces": namespaces}}));
        assert_eq!(of(json!([{"type": "network"}])), Network::AfterCreate);
        for namespaces in [json!([{"type": "pid"}]), json!([{"type": "network", "path": "/n"}])] {
            assert_eq!(of(namespaces), Network::Shared);
        }
    }
}
