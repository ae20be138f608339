//! Which addresses count as one client, where clients are bounded by their addresses. Knows no bounds.

use std::net::{IpAddr, Ipv6Addr};

/// Whoever has one IPv6 address usually has a /64 of them.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}
