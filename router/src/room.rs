//! Room for messages of which only a part has come: how much of all memory they take together, and who goes when
//! others need it.
//!
//! A message that has not come whole with one read asks for room for all of it, as its length is known, and nothing more is read until
//! there is some. Policy: a few bytes are everybody's own ([`FREE_BYTES`]). What all take beyond them counts in the
//! budget of the queues, and is half of it at the most, so that there is always room for the largest message. When
//! that is taken, connections wait in line. While any does, whoever has had room for longer than [`HOLD`] is closed: so
//! nobody can keep others out by messages that never end, and nobody waits for ever. The line is bounded in length
//! ([`LINE`]) and time ([`WAIT`]).

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;

/// What every connection may hold of a message without asking: enough for all but the longest messages of a plant, and
/// 80 MiB for 20,000 connections.
pub(crate) const FREE_BYTES: usize = 4 << 10;

/// No more than this part of the budget is for incomplete messages: the queues must not have to go for them. A queue
/// takes two of the largest messages, and the budget a queue, so this is one of them at least.
const BUDGET_PART: usize = 2;

/// How long a message may take to come while others wait for its room. The largest one (4 MiB by default) comes in
/// this time at 800 KB a second; when nobody waits, it may take as long as it likes.
const HOLD: Duration = Duration::from_secs(5);

/// How long a connection waits for room: all who had some when it began have gone by half of it.
const WAIT: Duration = Duration::from_secs(10);

/// How many connections wait at once. Each has one read in hand, 64 KiB, which is counted nowhere: 64 MiB in all.
const LINE: usize = 1024;

/// Why a client is closed: for it to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoRoom {
    /// It had some for too long.
    #[error(
        "a message took more than 5 s to come while others waited for its room (limits.max_total_queue_bytes): send \
         it faster, or in smaller ones"
    )]
    TooSlow,
    /// It got none.
    #[error(
        "there was no room for so long a message, as too many of other clients are incomplete \
         (limits.max_total_queue_bytes): try again later"
    )]
    Full,
}

/// When a connection got room, and which it is.
type Turn = (Instant, u64);

/// The room of all connections.
#[derive(Debug)]
pub(crate) struct Rooms {
    /// What is left of it, in bytes. Another one takes its place when the limit changes: who has room from the old one
    /// gives it back there.
    left: Mutex<Arc<Pool>>,
    line: Semaphore,
    /// Who has some, the longest first, and how it is told to go.
    holders: Mutex<BTreeMap<Turn, CancellationToken>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Pool {
    bytes: Arc<Semaphore>,
    size: usize,
}

impl Pool {
    fn new(budget: usize) -> Arc<Self> {
        let size = budget / BUDGET_PART;
        Arc::new(Self { bytes: Arc::new(Semaphore::new(size)), size })
    }
}

impl Rooms {
    pub(crate) fn new(budget: usize) -> Self {
        let (left, line) = (Mutex::new(Pool::new(budget)), Semaphore::new(LINE));
        Self { left, line, holders: Mutex::default(), next: AtomicU64::new(0) }
    }

    pub(crate) fn set_budget(&self, budget: usize) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Pool::new(budget);
    }

    fn pool(&self) -> Arc<Pool> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn holders(&self) -> MutexGuard<'_, BTreeMap<Turn, CancellationToken>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next one has had room for too long.
    fn next_end(&self) -> Option<Instant> {
        self.holders().first_key_value().map(|((since, _), _)| *since + HOLD)
    }

    /// Tells all who have had room for too long.
    fn end_old(&self, now: Instant) {
        let mut holders = self.holders();
        while let Some(first) = holders.first_entry()
            && first.key().0 + HOLD <= now
        {
            first.remove().cancel();
        }
    }
}

/// What one connection has.
pub(crate) struct Room {
    budget: Arc<Budget>,
    held: Option<Held>,
}

struct Held {
    bytes: usize,
    /// More than one for a message that grows.
    permits: Vec<OwnedSemaphorePermit>,
    turn: Turn,
    /// Somebody else needs it.
    ended: CancellationToken,
}

impl Room {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, held: None }
    }

    fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// Waits until there is room for a message of so many bytes.
    pub(crate) async fn want(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if bytes <= FREE_BYTES || bytes <= self.bytes() {
            return Ok(());
        }
        let pool = self.budget.rooms.pool();
        // The largest message fits in any case; what a message in many fragments takes beside it may not.
        let more = bytes.min(pool.size).saturating_sub(self.bytes());
        if more == 0 {
            return Ok(());
        }
        let permits = u32::try_from(more).unwrap_or(u32::MAX);
        let permit = match pool.bytes.clone().try_acquire_many_owned(permits) {
            Ok(permit) => permit,
            Err(_) => self.wait(&pool, permits).await?,
        };
        let held = self.held.get_or_insert_with(|| {
            let rooms = &self.budget.rooms;
            let turn = (Instant::now(), rooms.next.fetch_add(1, Ordering::Relaxed));
            let ended = CancellationToken::new();
            rooms.holders().insert(turn, ended.clone());
            Held { bytes: 0, permits: Vec::new(), turn, ended }
        });
        held.bytes += more;
        held.permits.push(permit);
        self.budget.take(more);
        self.budget.relieve();
        Ok(())
    }

    async fn wait(&self, pool: &Pool, permits: u32) -> Result<OwnedSemaphorePermit, NoRoom> {
        let rooms = &self.budget.rooms;
        let _place = rooms.line.try_acquire().map_err(|_| NoRoom::Full)?;
        let end = Instant::now() + WAIT;
        let mut permit = pin!(pool.bytes.clone().acquire_many_owned(permits));
        loop {
            // Who gets some while this one waits is not too slow before that.
            let next = rooms.next_end().unwrap_or_else(|| Instant::now() + HOLD);
            tokio::select! {
                biased;
                permit = &mut permit => return permit.map_err(|_| NoRoom::Full),
                () = self.ends() => return Err(NoRoom::TooSlow),
                () = sleep_until(next.min(end)) => {}
            }
            let now = Instant::now();
            if now >= end {
                return Err(NoRoom::Full);
            }
            rooms.end_old(now);
        }
    }

    /// What tells that others need what it has; none if it has nothing.
    pub(crate) fn end(&self) -> Option<CancellationToken> {
        self.held.as_ref().map(|held| held.ended.clone())
    }

    /// Waits until others need what it has; for ever if it has nothing.
    pub(crate) async fn ends(&self) {
        match &self.held {
            Some(held) => held.ended.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// The message is complete: it has its room until the last of it is gone, and keeps it from no other incomplete one.
    pub(crate) fn complete(&mut self, message: Bytes) -> Bytes {
        if self.held.is_none() {
            return message;
        }
        let message = self.budget.count(message);
        self.leave();
        message
    }

    /// Gives back what it has.
    pub(crate) fn leave(&mut self) {
        if let Some(held) = self.held.take() {
            self.budget.rooms.holders().remove(&held.turn);
            self.budget.give_back(held.bytes);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests {
    use super::*;

    const BUDGET: usize = 1 << 20;
    const LARGE: usize = 200 << 10;

    /// Incomplete messages count in the budget and take half of it at the most; a complete one makes room for the next
    /// and counts until it is gone.
    #[tokio::test(start_paused = true)]
    async fn half_of_the_budget() {
        let budget = Budget::new(BUDGET);
        let [mut first, mut second, mut third] = [(); 3].map(|()| Room::new(budget.clone()));
        first.want(FREE_BYTES).await.unwrap();
        assert_eq!(budget.used(), 0, "a little is everybody's own");
        first.want(LARGE).await.unwrap();
        second.want(LARGE).await.unwrap();
        assert_eq!(budget.used(), 2 * LARGE);
        let waiting = tokio::spawn(async move {
            third.want(LARGE).await.unwrap();
            third
        });
        tokio::task::yield_now().await;
        assert_eq!(budget.used(), 2 * LARGE, "it waits");
        let message = first.complete(Bytes::from(vec![b'x'; LARGE]));
        let third = waiting.await.unwrap();
        assert_eq!(budget.used(), 3 * LARGE, "one that is complete, two that are not");
        drop((message, second, third));
        assert_eq!(budget.used(), 0);
        assert!(budget.rooms.holders().is_empty());
    }

    /// Whoever holds room for ever goes as soon as others have waited for it, the line goes on in order, and who gets none is told.
    #[tokio::test(start_paused = true)]
    async fn nobody_keeps_others_out() {
        let budget = Budget::new(BUDGET);
        let mut slow = [(); 2].map(|()| Room::new(budget.clone()));
        for room in &mut slow {
            room.want(LARGE).await.unwrap();
        }
        tokio::time::sleep(10 * HOLD).await;
        assert!(!slow[0].held.as_ref().unwrap().ended.is_cancelled(), "nobody needs it");
        let mut next = Room::new(budget.clone());
        let wanted = tokio::spawn(async move { next.want(LARGE).await.map(|()| next) });
        slow[0].ends().await;
        slow[1].ends().await;
        assert_eq!(slow[0].want(2 * LARGE).await, Err(NoRoom::TooSlow));
        slow[0].leave();
        let next = wanted.await.unwrap().unwrap();
        // The other one does not go, whatever it was told.
        assert!(Room::new(budget.clone()).want(2 * LARGE).await == Err(NoRoom::Full));
        drop((slow, next));
        assert_eq!(budget.used(), 0);
    }

    /// Two messages that both grow and have no room left between them do not wait for each other for ever.
    #[tokio::test(start_paused = true)]
    async fn no_deadlock() {
        let budget = Budget::new(BUDGET);
        let rooms = [(); 2].map(|()| {
            let mut room = Room::new(budget.clone());
            tokio::spawn(async move {
                room.want(LARGE).await.unwrap();
                room.want(2 * LARGE).await
            })
        });
        for room in rooms {
            assert_eq!(room.await.unwrap(), Err(NoRoom::TooSlow));
        }
        assert_eq!(budget.used(), 0);
    }

    /// A message that is larger than all the room there is gets all of it: it must not wait for what can't be.
    #[tokio::test(start_paused = true)]
    async fn more_than_there_is() {
        let budget = Budget::new(BUDGET);
        let mut room = Room::new(budget.clone());
        room.want(10 * BUDGET).await.unwrap();
        room.want(20 * BUDGET).await.unwrap();
        assert_eq!(budget.used(), BUDGET / BUDGET_PART);
        budget.set_total(4 * BUDGET);
        room.want(20 * BUDGET).await.unwrap();
        assert_eq!(budget.used(), 2 * BUDGET);
        drop(room);
        assert_eq!(budget.used(), 0);
    }
}
