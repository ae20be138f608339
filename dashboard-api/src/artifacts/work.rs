//! Who is at work on which upload: one request at a time. One that hangs, because its connection is dead and nobody has noticed, gives way
//! to the next.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// A request that has received nothing for so long gives way to another one.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(2);
/// Whoever waits for that waits so long.
const WAITS: Duration = Duration::from_secs(5);
/// Parts that are received at once, each with a buffer of its own. Policy: more are told to come again.
const MAX_PARTS: usize = 64;
/// The same of one tenant: nobody shall be kept out by another.
const MAX_PARTS_OF_A_TENANT: usize = 16;

struct Place {
    give_way: CancellationToken,
    heard: Arc<Mutex<Instant>>,
    left: watch::Receiver<()>,
}

/// All requests that are at work. As many entries as there are requests.
pub(super) struct AtWork {
    places: Arc<Mutex<HashMap<String, Place>>>,
    parts: Arc<Semaphore>,
    of_tenants: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for AtWork {
    fn default() -> Self {
        let parts = Arc::new(Semaphore::new(MAX_PARTS));
        Self { places: Arc::default(), parts, of_tenants: Mutex::default() }
    }
}

/// The right to be at work on an upload, until it is dropped.
pub struct Claim {
    id: String,
    places: Arc<Mutex<HashMap<String, Place>>>,
    heard: Arc<Mutex<Instant>>,
    give_way: CancellationToken,
    _left: watch::Sender<()>,
}

/// Room for receiving a part.
pub struct Room(#[expect(dead_code, reason = "held")] [OwnedSemaphorePermit; 2]);

impl AtWork {
    /// Claims an upload, if nobody is at work on it.
    pub(super) fn claim(&self, id: &str) -> Option<Claim> {
        let mut places = lock(&self.places);
        if places.contains_key(id) {
            return None;
        }
        let (sender, left) = watch::channel(());
        let (heard, give_way) = (Arc::new(Mutex::new(Instant::now())), CancellationToken::new());
        let place = Place { give_way: give_way.clone(), heard: Arc::clone(&heard), left };
        places.insert(id.to_owned(), place);
        let places = Arc::clone(&self.places);
        Some(Claim { id: id.to_owned(), places, heard, give_way, _left: sender })
    }

    /// Claims an upload. Whoever hangs at it is told to go, with `at_once` also who does not hang.
    pub(super) async fn claim_from(&self, id: &str, at_once: bool) -> Option<Claim> {
        if let Some(claim) = self.claim(id) {
            return Some(claim);
        }
        let mut left = {
            let places = lock(&self.places);
            // It may have gone just now.
            let Some(place) = places.get(id) else {
                drop(places);
                return self.claim(id);
            };
            if !at_once && lock(&place.heard).elapsed() < GIVES_WAY_AFTER {
                return None;
            }
            place.give_way.cancel();
            place.left.clone()
        };
        // An error is what is waited for: the other one has gone.
        let _ = tokio::time::timeout(WAITS, left.changed()).await;
        self.claim(id)
    }

    /// Room for a part of this tenant.
    pub(super) fn room(&self, tenant: &str) -> Option<Room> {
        let of_tenant = {
            let mut all = lock(&self.of_tenants);
            all.retain(|_, room| room.available_permits() < MAX_PARTS_OF_A_TENANT);
            let room = all.entry(tenant.to_owned());
            Arc::clone(room.or_insert_with(|| Arc::new(Semaphore::new(MAX_PARTS_OF_A_TENANT))))
        };
        let own = of_tenant.try_acquire_owned().ok()?;
        Some(Room([Arc::clone(&self.parts).try_acquire_owned().ok()?, own]))
    }
}

impl Claim {
    /// Bytes have come.
    pub fn hears(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// Waits until another request wants the upload.
    pub async fn must_give_way(&self) {
        self.give_way.cancelled().await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.places).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two at once would mix their bytes.
    #[tokio::test]
    async fn one_at_a_time() {
        let at_work = AtWork::default();
        let first = at_work.claim("a").unwrap();
        assert!(at_work.claim("a").is_none() && at_work.claim_from("a", false).await.is_none());
        assert!(at_work.claim("b").is_some());
        drop(first);
        assert!(at_work.claim("a").is_some());
    }

    /// Whoever ends an upload does not wait for a request that goes on, as long as that hears of it.
    #[tokio::test]
    async fn the_first_gives_way_when_it_is_told_to() {
        let at_work = AtWork::default();
        let first = at_work.claim("a").unwrap();
        let goes = async {
            first.must_give_way().await;
            drop(first);
        };
        let (claim, ()) = tokio::join!(at_work.claim_from("a", true), goes);
        assert!(claim.is_some());
    }

    /// One tenant's parts leave room for others', and what was left is room again.
    #[test]
    fn a_tenant_does_not_take_all_room() {
        let at_work = AtWork::default();
        let held: Vec<Room> = std::iter::from_fn(|| at_work.room("acme")).collect();
        assert_eq!(held.len(), MAX_PARTS_OF_A_TENANT);
        assert!(at_work.room("globex").is_some());
        drop(held);
        assert!(at_work.room("acme").is_some());
    }
}
