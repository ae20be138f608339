//! The firewall's rules for the tenants' networks, as `iptables-restore` reads them. No I/O.
//!
//! Tenants never reach each other; a tenant's containers reach each other, also on other devices; whoever routes to a
//! container reaches it. What a container sends out of the platform leaves under the device's address.

use std::fmt::Write;

use ecep_proto::api::{container::Protocol, network::TenantNetwork};

use super::bridge_name;

/// Our chain of the filter table, called from the engine's DOCKER-USER.
pub(super) const FORWARD: &str = "ECEP-FORWARD";
/// Our chain of the nat table for ports that containers left behind.
pub(super) const DNAT: &str = "ECEP-DNAT";
/// Our chain of the nat table for what leaves.
pub(super) const SNAT: &str = "ECEP-SNAT";

/// The filter table's part.
pub(super) fn filter(networks: &[&TenantNetwork]) -> String {
    let mut text = format!("*filter\n:{FORWARD} - [0:0]\n");
    for network in networks {
        let (bridge, subnet) = (bridge_name(&network.subnet), cidr(network));
        // Nobody speaks in another's name.
        line(&mut text, format_args!("-A {FORWARD} -i {bridge} ! -s {subnet} -j DROP"));
        line(&mut text, format_args!("-A {FORWARD} -s {subnet} -d {subnet} -j ACCEPT"));
    }
    if let Some(network) = networks.first() {
        let pool = pool(network);
        line(&mut text, format_args!("-A {FORWARD} -s {pool} -d {pool} -j DROP"));
        line(&mut text, format_args!("-A {FORWARD} -s {pool} -j ACCEPT"));
        line(&mut text, format_args!("-A {FORWARD} -d {pool} -j ACCEPT"));
    }
    text + "COMMIT\n"
}

/// The nat table's part.
pub(super) fn nat(networks: &[&TenantNetwork]) -> String {
    let mut text = format!("*nat\n:{DNAT} - [0:0]\n:{SNAT} - [0:0]\n");
    for forward in networks.iter().flat_map(|network| &network.forwards) {
        let protocol = match forward.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let (host, port, address) = (forward.host_port, forward.container_port, forward.address);
        line(
            &mut text,
            format_args!("-A {DNAT} -p {protocol} --dport {host} -j DNAT --to-destination {address}:{port}"),
        );
        // The answer must come back this way, or nobody would turn its address back.
        line(
            &mut text,
            format_args!(
                "-A {SNAT} -d {address}/32 -p {protocol} --dport {port} -m conntrack --ctstate DNAT \
                 --ctorigdstport {host} -j MASQUERADE"
            ),
        );
    }
    for network in networks {
        let (subnet, pool) = (cidr(network), pool(network));
        line(&mut text, format_args!("-A {SNAT} -s {subnet} -d {pool} -j RETURN"));
        // Only what begins here: in the middle of a connection that has moved here, the container is the one called.
        line(&mut text, format_args!("-A {SNAT} -s {subnet} -p tcp --syn -j MASQUERADE"));
        line(&mut text, format_args!("-A {SNAT} -s {subnet} ! -p tcp -j MASQUERADE"));
    }
    text + "COMMIT\n"
}

fn cidr(network: &TenantNetwork) -> String {
    format!("{}/{}", network.subnet.address, network.subnet.prefix)
}

fn pool(network: &TenantNetwork) -> String {
    format!("{}/{}", network.subnet.pool, network.subnet.pool_prefix)
}

fn line(text: &mut String, rule: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{rule}");
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::network::{Forward, Subnet};

    use super::*;

    fn network(tenant: &str, number: u32, forwards: Vec<Forward>) -> TenantNetwork {
        let address = std::net::Ipv4Addr::from(0x0ac0_0000 + (number << 12));
        let pool = "10.192.0.0".parse().unwrap();
        let tenant = tenant.parse().unwrap();
        let subnet = Subnet { tenant, number, address, prefix: 20, pool, pool_prefix: 10 };
        TenantNetwork { subnet, places: vec![], forwards }
    }

    /// Isolation between tenants on one device rests on the order of these rules.
    #[test]
    fn tenants_are_kept_apart_before_anything_is_accepted() {
        let (a, b) = (network("a", 0, vec![]), network("b", 1, vec![]));
        let text = filter(&[&a, &b]);
        let at = |rule: &str| text.find(rule).unwrap_or_else(|| panic!("{rule} is missing in\n{text}"));
        let apart = at("-s 10.192.0.0/10 -d 10.192.0.0/10 -j DROP");
        assert!(at("-i ecep1 ! -s 10.192.16.0/20 -j DROP") < apart);
        assert!(at("-s 10.192.16.0/20 -d 10.192.16.0/20 -j ACCEPT") < apart);
        assert!(at("-A ECEP-FORWARD -s 10.192.0.0/10 -j ACCEPT") > apart);
    }

    /// A port that a container left leads to it, and answers come back.
    #[test]
    fn a_port_left_behind_is_forwarded() {
        let forward = Forward {
            container: "c".parse().unwrap(),
            protocol: Protocol::Tcp,
            host_port: 8080,
            container_port: 80,
            address: "10.192.0.5".parse().unwrap(),
        };
        let network = network("a", 0, vec![forward]);
        let text = nat(&[&network]);
        assert!(text.contains("-A ECEP-DNAT -p tcp --dport 8080 -j DNAT --to-destination 10.192.0.5:80"));
        assert!(text.contains("--ctorigdstport 8080 -j MASQUERADE"), "{text}");
    }
}
