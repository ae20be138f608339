//! The places for open connections, and how clients share them: whoever takes many leaves as many free. So no single client
//! keeps the others out, and none is held to less than half while nobody else wants more.
//!
//! Decides without I/O. Must not know what the connections are for.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ecep_proto::network::network_of;

/// The places of all listeners together.
#[derive(Debug)]
pub struct Places {
    most: usize,
    /// How many connections each network has. It holds no more networks than there are connections.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place, given back when it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    /// So many, all free.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place for a client at this address, if its network has fewer than are left free.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        let mut taken = self.lock();
        let free = self.most.saturating_sub(taken.values().sum());
        let own = taken.get(&network).copied().unwrap_or(0);
        if own >= free {
            return None;
        }
        taken.insert(network, own + 1);
        Some(Place { places: Arc::clone(self), network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(network: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, network])
    }

    /// One that opens connections without end must not keep others out, nor may several of them together.
    #[test]
    fn a_flood_of_connections_keeps_nobody_else_out() {
        let places = Places::new(1_000);
        let mut held = Vec::new();
        for flood in 1..=3 {
            while let Some(place) = places.take(from(flood)) {
                held.push(place);
            }
            let others = (100..120).filter_map(|other| places.take(from(other))).count();
            assert_eq!(others, 20, "after {flood}");
        }
        held.clear();
        assert!(places.lock().is_empty());
        assert_eq!(std::iter::from_fn(|| places.take(from(1))).take(600).collect::<Vec<_>>().len(), 500);
    }
}
