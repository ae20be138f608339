//! Changes to the OCI bundle of a container that is to be restored: hooks that prepare and isolate its network, and the
//! options that runc hands to CRIU. Pure, but for [`rewrite`].

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::hook::Step;
use crate::order::{Connections, Order, Then};

/// The annotation by which runc lets a container choose CRIU's configuration file (runc 1.0 and later).
const CRIU_CONFIGURATION: &str = "org.criu.config";

/// What the restore needs to know of the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A network of its own, which a hook of the engine's connects while CRIU restores.
    ByHook,
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
    let namespaces = configuration["linux"]["namespaces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own =
        namespaces.iter().any(|namespace| namespace["type"] == "network" && namespace["path"].is_null());
    let words = |hook: &Value| hook["args"].as_array().cloned().unwrap_or_default();
    let hooks = configuration["hooks"]["prestart"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wires = hooks.iter().any(|hook| words(hook).iter().any(|word| word == "libnetwork-setkey"));
    match (own, wires) {
        (false, _) => Network::Shared,
        (true, true) => Network::ByHook,
        (true, false) => Network::AfterCreate,
    }
}

/// Adds our hooks around the engine's, and the path of CRIU's configuration file.
pub fn prepare(
    configuration: &mut Value,
    order: &Order,
    program: &Path,
    criu_configuration: &Path,
) -> Network {
    let network = network(configuration);
    configuration["annotations"][CRIU_CONFIGURATION] = json!(criu_configuration);
    let hook = |step: Step| json!({"path": program, "args": step.to_arguments()});
    let addresses = if network == Network::AfterCreate { order.addresses.clone() } else { Vec::new() };
    let before = hook(Step::Before { addresses, quiet: order.isolated });
    let after = hook(Step::After { cut: order.isolated });
    if network == Network::Shared {
        return network;
    }
    let hooks = &mut configuration["hooks"]["prestart"];
    let mut all = vec![before];
    all.extend(hooks.as_array().cloned().unwrap_or_default());
    if network == Network::ByHook {
        all.push(after);
    }
    *hooks = all.into();
    network
}

/// Replaces the bundle's `config.json` by what `change` makes of it.
///
/// # Errors
/// The file cannot be read, is no JSON, or cannot be replaced.
pub fn rewrite<T>(bundle: &Path, change: impl FnOnce(&mut Value) -> T) -> std::io::Result<T> {
    let path = bundle.join("config.json");
    let mut configuration: Value = serde_json::from_slice(&fs::read(&path)?)?;
    if !configuration.is_object() {
        return Err(std::io::Error::other("config.json holds no object"));
    }
    let answer = change(&mut configuration);
    let draft = bundle.join("config.json.new");
    fs::write(&draft, serde_json::to_vec(&configuration)?)?;
    fs::rename(&draft, &path)?;
    Ok(answer)
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

    fn prepared(mut configuration: Value) -> (Network, Value) {
        let network = prepare(&mut configuration, &order(), Path::new("/e"), Path::new("/c"));
        (network, configuration)
    }

    /// Docker to 27: its own hook connects the network, so ours go around it and the address is left to it.
    #[test]
    fn hooks_go_around_the_engines() {
        let engines = json!({"path": "/d", "args": ["libnetwork-setkey", "-exec-root=/x", "24ce", "1b"]});
        let (network, after) = prepared(json!({
            "hooks": {"prestart": [engines]},
            "linux": {"namespaces": [{"type": "network"}]},
        }));
        assert_eq!(network, Network::ByHook);
        assert_eq!(
            after["hooks"]["prestart"],
            json!([
                {"path": "/e", "args": ["ecep-runtime", "ecep-hook", "before", "quiet"]},
                engines,
                {"path": "/e", "args": ["ecep-runtime", "ecep-hook", "after", "cut"]},
            ])
        );
        assert_eq!(after["annotations"]["org.criu.config"], "/c");
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

    /// Docker 28 connects after `create`: sockets need an address meanwhile, and the cut waits for `start`.
    #[test]
    fn an_unconnected_container_gets_its_address() {
        let (network, after) = prepared(json!({"linux": {"namespaces": [{"type": "network"}]}}));
        assert_eq!(network, Network::AfterCreate);
        assert_eq!(
            after["hooks"]["prestart"],
            json!([{"path": "/e", "args": ["ecep-runtime", "ecep-hook", "before", "quiet", "10.201.0.5"]}])
        );
    }

    /// In the host's network, or another container's, our hooks would cut off others.
    #[test]
    fn a_shared_network_is_left_alone() {
        for namespaces in [json!([{"type": "pid"}]), json!([{"type": "network", "path": "/n"}])] {
            let (network, after) = prepared(json!({"linux": {"namespaces": namespaces}}));
            assert_eq!(network, Network::Shared);
            assert!(after["hooks"].is_null());
        }
    }
}
