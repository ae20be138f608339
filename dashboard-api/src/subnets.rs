//! Which addresses tenants and containers get: arithmetic only; what is taken is told by the caller.

use std::{collections::BTreeSet, net::Ipv4Addr, str::FromStr};

use ecep_proto::api::{name::TenantSlug, network::Subnet};

/// Bits of a tenant's prefix: 4,093 containers, more than a tenant's devices run.
const TENANT_PREFIX: u8 = 20;
/// Addresses at the start of a tenant's network that no container gets: the network's own, and the bridges'.
const RESERVED: u32 = 2;

/// The addresses of all tenants' networks together, such as `10.192.0.0/10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    address: Ipv4Addr,
    prefix: u8,
}

/// Not a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pool of addresses; use a private network with 8 to 20 bits, such as 10.192.0.0/10")]
pub struct PoolError(String);

impl FromStr for Pool {
    type Err = PoolError;
    fn from_str(text: &str) -> Result<Self, PoolError> {
        let wrong = || PoolError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let is_network =
            (8..=TENANT_PREFIX).contains(&prefix) && u32::from(address) & (u32::MAX >> prefix) == 0;
        if is_network && address.is_private() { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }
}

impl Pool {
    /// How many tenants it has room for.
    pub fn tenants(self) -> u32 {
        1 << (TENANT_PREFIX - self.prefix)
    }

    /// The network with this number, if there is room for it.
    pub fn subnet(self, tenant: &TenantSlug, number: u32) -> Option<Subnet> {
        let first = number.checked_shl(u32::from(32 - TENANT_PREFIX))?;
        (number < self.tenants()).then(|| Subnet {
            tenant: tenant.clone(),
            number,
            address: Ipv4Addr::from(u32::from(self.address) + first),
            prefix: TENANT_PREFIX,
            pool: self.address,
            pool_prefix: self.prefix,
        })
    }
}

/// The next free address after the last one given, so that an address is used again as late as possible: somebody may
/// still speak to the container that had it.
pub fn next_free(subnet: &Subnet, taken: &BTreeSet<Ipv4Addr>, last: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let base = u32::from(subnet.address);
    // The last one is the broadcast address.
    let count = (1_u32 << (32 - subnet.prefix)) - RESERVED - 1;
    let after = last.map_or(0, |last| (u32::from(last) - base + 1).saturating_sub(RESERVED));
    let at = |index: u32| Ipv4Addr::from(base + RESERVED + (after + index) % count);
    (0..count).map(at).find(|address| !taken.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(number: u32) -> Subnet {
        "10.192.0.0/10".parse::<Pool>().unwrap().subnet(&"acme".parse().unwrap(), number).unwrap()
    }

    /// Two tenants' networks must not overlap, and all must lie in the pool.
    #[test]
    fn tenants_do_not_overlap() {
        assert_eq!(subnet(0).address, Ipv4Addr::new(10, 192, 0, 0));
        assert_eq!(subnet(1).address, Ipv4Addr::new(10, 192, 16, 0));
        assert_eq!(subnet(1023).address, Ipv4Addr::new(10, 255, 240, 0));
        let pool: Pool = "10.192.0.0/10".parse().unwrap();
        assert_eq!(pool.subnet(&"acme".parse().unwrap(), 1024), None);
    }

    /// No address is given twice, none that is not a host's, and a freed one comes last.
    #[test]
    fn addresses_go_round_once() {
        let (subnet, mut taken, mut last) = (subnet(3), BTreeSet::new(), None);
        for _ in 0..4093 {
            let next = next_free(&subnet, &taken, last).unwrap();
            assert!(taken.insert(next));
            last = Some(next);
        }
        assert_eq!(taken.first(), Some(&Ipv4Addr::new(10, 192, 48, 2)));
        assert_eq!(taken.last(), Some(&Ipv4Addr::new(10, 192, 63, 254)));
        assert_eq!(next_free(&subnet, &taken, last), None);
        let (early, late) = (Ipv4Addr::new(10, 192, 48, 9), Ipv4Addr::new(10, 192, 50, 9));
        taken.remove(&early);
        taken.remove(&late);
        assert_eq!(next_free(&subnet, &taken, Some(Ipv4Addr::new(10, 192, 49, 0))), Some(late));
        assert_eq!(next_free(&subnet, &taken, Some(late)), Some(early));
    }

    /// A pool that is not a network, or not private, is a typing error.
    #[test]
    fn wrong_pools_are_refused() {
        for bad in ["", "10.192.0.0", "10.192.0.1/10", "8.0.0.0/10", "10.0.0.0/24", "10.0.0.0/4"] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
    }
}
