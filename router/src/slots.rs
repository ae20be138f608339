//! How many connections are open, against a limit that may change, and how many clients of one network greet at once: each
//! leaves as many places free as it takes, so that whoever only connects keeps nobody else out. Who has joined counts no
//! more: many clients may come by one proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecep_proto::network::network_of;

/// The places of all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Clients that have not joined, by network. It holds no more networks than there are connections.
    greeting: HashMap<IpAddr, usize>,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    /// Where its client is, while it has not joined; none of this machine's own sockets.
    greeting: Option<IpAddr>,
}

impl Slots {
    /// A place, if fewer than that many are taken, and the client's network has fewer clients that greet than are left
    /// free. Clients without an address are of this machine.
    pub(crate) fn take(&self, limit: usize, client: Option<IpAddr>) -> Option<Slot> {
        let mut taken = self.taken();
        let free = limit.saturating_sub(taken.all);
        let network = client.map(network_of);
        let greeting = network.and_then(|network| taken.greeting.get(&network).copied()).unwrap_or(0);
        if greeting >= free {
            return None;
        }
        taken.all += 1;
        if let Some(network) = network {
            taken.greeting.insert(network, greeting + 1);
        }
        Some(Slot { slots: self.clone(), greeting: network })
    }

    /// How many are taken.
    pub(crate) fn used(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn has_greeted(&mut self, network: IpAddr) {
        if let Some(greeting) = self.greeting.get_mut(&network) {
            *greeting -= 1;
            if *greeting == 0 {
                self.greeting.remove(&network);
            }
        }
    }
}

impl Slot {
    /// The client has joined.
    pub(crate) fn joined(&mut self) {
        if let Some(network) = self.greeting.take() {
            self.slots.taken().has_greeted(network);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.joined();
        self.slots.taken().all -= 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests {
    use super::*;

    fn from(network: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, network]))
    }

    /// Who connects without end and never joins must not keep others out; those who have joined may be as many as there
    /// are places.
    #[test]
    fn a_flood_of_connections_keeps_nobody_else_out() {
        let slots = Slots::default();
        let flood: Vec<Slot> = std::iter::from_fn(|| slots.take(100, from(1))).take(1_000).collect();
        assert_eq!((flood.len(), slots.used()), (50, 50));
        let again: Vec<Slot> = std::iter::from_fn(|| slots.take(100, from(2))).take(1_000).collect();
        assert_eq!(again.len(), 25);
        assert!(slots.take(100, from(3)).is_some() && slots.take(100, None).is_some());
        drop((flood, again));
        let mut joined = Vec::new();
        for _ in 0..100 {
            let mut slot = slots.take(100, from(1)).unwrap();
            slot.joined();
            joined.push(slot);
        }
        assert!(slots.take(100, from(1)).is_none() && slots.take(100, from(2)).is_none());
        drop(joined);
        assert_eq!(slots.used(), 0);
        assert!(slots.taken().greeting.is_empty());
    }
}
