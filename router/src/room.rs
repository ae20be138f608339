//! Room for messages of which only a part has come: how much of all memory they take together, and who goes when
//! others need it.
//!
//! A message that has not come whole with one read asks for room for all of it, as its length is known, and nothing more
//! is read until there is some. Policy: a few bytes are everybody's own ([`FREE_BYTES`]). What all take beyond them
//! counts in the budget of the queues, and is half of it at the most, so that there is always room for the largest
//! message. When that is taken, connections wait, and the last one to come is the first to go on: so those who send
//! fast get through, however many others wait with messages that never end. While any waits, whoever has room and has
//! sent nothing for a [`GRACE`], or has had it for longer than [`HOLD`], is closed: nobody waits for ever. Those who wait
//! are bounded in number ([`MAX_WAITING`]) and time ([`WAIT`]).

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use slab::Slab;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::outbound::GRACE;

/// What every connection may hold of a message without asking: enough for all but the longest messages of a plant, and
/// 80 MiB for 20,000 connections.
pub(crate) const FREE_BYTES: usize = 4 << 10;

/// No more than this part of the budget is for incomplete messages: the queues must not have to go for them. A queue
/// takes two of the largest messages, and the budget a queue, so this is one of them at least.
const BUDGET_PART: usize = 2;

/// How long a message may take to come while others wait for room. The largest one (4 MiB by default) comes in this time
/// at 800 KB a second; when nobody waits, it may take as long as it likes.
const HOLD: Duration = Duration::from_secs(5);

/// How long a connection waits for room: twice as long as anybody keeps it from others.
const WAIT: Duration = Duration::from_secs(10);

/// How often those who wait look for somebody who must go: a part of a [`GRACE`].
const LOOK: Duration = Duration::from_millis(200);

/// How many connections wait at once. Each has one read in hand, 64 KiB, which is counted nowhere: 64 MiB in all.
const MAX_WAITING: usize = 1024;

/// Why a client is closed: for it to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoRoom {
    /// It had some for too long.
    #[error(
        "a message did not come fast enough while others waited for its room (limits.max_total_queue_bytes): send it \
         without a pause, or in smaller ones"
    )]
    TooSlow,
    /// It got none.
    #[error(
        "there was no room for so long a message, as too many of other clients are incomplete \
         (limits.max_total_queue_bytes): try again later"
    )]
    Full,
}

/// The room of all connections.
#[derive(Debug)]
pub(crate) struct Rooms(Mutex<State>);

#[derive(Debug)]
struct State {
    size: usize,
    taken: usize,
    /// The last one is the first to get some.
    waiting: Vec<Waiter>,
    holders: Slab<Holder>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    /// Told when the bytes are its own.
    granted: oneshot::Sender<Grant>,
}

#[derive(Debug)]
struct Holder {
    since: Instant,
    /// When something came last.
    moved: Instant,
    /// Somebody else needs the room.
    ended: CancellationToken,
}

/// Some bytes of the room, given back when it is dropped.
#[derive(Debug)]
struct Grant {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
        self.budget.rooms.state().taken -= self.bytes;
        self.budget.rooms.grant(&self.budget);
    }
}

impl Rooms {
    pub(crate) fn new(budget: usize) -> Self {
        let (waiting, holders) = (Vec::new(), Slab::new());
        Self(Mutex::new(State { size: budget / BUDGET_PART, taken: 0, waiting, holders, looked: None }))
    }

    /// Another limit from now on.
    pub(crate) fn set_budget(&self, budget: usize) {
        self.state().size = budget / BUDGET_PART;
    }

    /// No code that holds the lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives those who wait what there is.
    fn grant(&self, budget: &Arc<Budget>) {
        loop {
            let mut state = self.state();
            let left = state.size.saturating_sub(state.taken);
            let Some(waiter) = state.waiting.pop_if(|waiter| waiter.bytes <= left) else { return };
            if waiter.granted.is_closed() {
                continue;
            }
            let grant = state.take(waiter.bytes, budget);
            drop(state);
            // One that does not wait any more gives it back at once, which must find the lock free.
            let _ = waiter.granted.send(grant);
        }
    }

    /// Tells who must go.
    fn look(&self, now: Instant) {
        let mut state = self.state();
        if state.looked.is_some_and(|looked| now < looked + LOOK) {
            return;
        }
        // As it was at the look before: what came while this process got no time itself has been read since.
        let Some(before) = state.looked.replace(now) else { return };
        let must_go = |holder: &&Holder| holder.moved + GRACE <= before || holder.since + HOLD <= before;
        state
            .holders
            .iter()
            .map(|(_, holder)| holder)
            .filter(must_go)
            .for_each(|holder| holder.ended.cancel());
    }
}

impl State {
    fn take(&mut self, bytes: usize, budget: &Arc<Budget>) -> Grant {
        self.taken += bytes;
        budget.take(bytes);
        Grant { budget: budget.clone(), bytes }
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
    grants: Vec<Grant>,
    place: usize,
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
        let (grant, granted) = {
            let mut state = self.budget.rooms.state();
            // The largest message fits in any case; what a message in many fragments takes beside it may not.
            let more = bytes.min(state.size).saturating_sub(self.bytes());
            if more == 0 {
                return Ok(());
            }
            if more <= state.size.saturating_sub(state.taken) {
                (Some(state.take(more, &self.budget)), None)
            } else {
                state.waiting.retain(|waiter| !waiter.granted.is_closed());
                if state.waiting.len() >= MAX_WAITING {
                    return Err(NoRoom::Full);
                }
                let (granted, wait) = oneshot::channel();
                state.waiting.push(Waiter { bytes: more, granted });
                (None, Some(wait))
            }
        };
        let grant = match (grant, granted) {
            (Some(grant), _) => grant,
            (None, Some(granted)) => self.wait(granted).await?,
            (None, None) => return Err(NoRoom::Full),
        };
        self.hold(grant);
        self.budget.relieve();
        Ok(())
    }

    fn hold(&mut self, grant: Grant) {
        let now = Instant::now();
        let held = self.held.get_or_insert_with(|| {
            let ended = CancellationToken::new();
            let holder = Holder { since: now, moved: now, ended: ended.clone() };
            let place = self.budget.rooms.state().holders.insert(holder);
            Held { bytes: 0, grants: Vec::new(), place, ended }
        });
        held.bytes += grant.bytes;
        held.grants.push(grant);
    }

    async fn wait(&self, granted: oneshot::Receiver<Grant>) -> Result<Grant, NoRoom> {
        let rooms = &self.budget.rooms;
        let end = Instant::now() + WAIT;
        let mut granted = pin!(granted);
        loop {
            let now = Instant::now();
            if now >= end {
                return Err(NoRoom::Full);
            }
            rooms.look(now);
            // What those left who do not wait any more.
            rooms.grant(&self.budget);
            tokio::select! {
                biased;
                granted = &mut granted => return granted.map_err(|_| NoRoom::Full),
                () = self.ends() => return Err(NoRoom::TooSlow),
                () = sleep_until(end.min(now + LOOK)) => {}
            }
        }
    }

    /// Something has come.
    pub(crate) fn moved(&self) {
        if let Some(held) = &self.held
            && let Some(holder) = self.budget.rooms.state().holders.get_mut(held.place)
        {
            holder.moved = Instant::now();
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

    /// The message is complete: it counts until the last of it is gone, and its room is free for the next.
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
        if let Some(Held { grants, place, .. }) = self.held.take() {
            self.budget.rooms.state().holders.remove(place);
            drop(grants);
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
        assert!(budget.rooms.state().holders.is_empty() && budget.rooms.state().taken == 0);
    }

    /// Whoever holds room and sends nothing goes as soon as others wait, and who sends too little a little later; the last
    /// one to come goes on first, and who gets nothing is told.
    #[tokio::test(start_paused = true)]
    async fn nobody_keeps_others_out() {
        let budget = Budget::new(BUDGET);
        let [mut silent, mut slow] = [(); 2].map(|()| Room::new(budget.clone()));
        silent.want(LARGE).await.unwrap();
        slow.want(LARGE).await.unwrap();
        tokio::time::sleep(10 * HOLD).await;
        assert!(!silent.end().unwrap().is_cancelled(), "nobody needs it");
        silent.leave();
        slow.leave();
        silent.want(LARGE).await.unwrap();
        slow.want(LARGE).await.unwrap();
        let [early, late] = [(); 2].map(|()| {
            let mut room = Room::new(budget.clone());
            tokio::spawn(async move { room.want(LARGE).await.map(|()| room) })
        });
        let began = Instant::now();
        while !silent.end().unwrap().is_cancelled() {
            slow.moved();
            tokio::time::sleep(LOOK).await;
        }
        assert!(began.elapsed() < 2 * GRACE && !slow.end().unwrap().is_cancelled());
        silent.leave();
        let late = late.await.unwrap().unwrap();
        assert!(!early.is_finished());
        while !slow.end().unwrap().is_cancelled() {
            slow.moved();
            tokio::time::sleep(LOOK).await;
        }
        assert_eq!(slow.want(2 * LARGE).await, Err(NoRoom::TooSlow));
        // These two do not go, whatever they are told.
        assert_eq!(early.await.unwrap().err(), Some(NoRoom::Full));
        drop((slow, late));
        assert_eq!(budget.used(), 0);
        assert!(budget.rooms.state().holders.is_empty());
    }

    /// Whoever sent while the process itself got no time is read before anybody is judged.
    #[tokio::test(start_paused = true)]
    async fn who_could_not_be_read_may_stay() {
        let budget = Budget::new(BUDGET);
        let [mut sends, mut silent, mut waits] = [(); 3].map(|()| Room::new(budget.clone()));
        sends.want(LARGE).await.unwrap();
        silent.want(LARGE).await.unwrap();
        let waiting = tokio::spawn(async move { waits.want(LARGE).await });
        tokio::task::yield_now().await;
        tokio::time::advance(2 * GRACE).await;
        tokio::task::yield_now().await;
        assert!(!sends.end().unwrap().is_cancelled() && !silent.end().unwrap().is_cancelled());
        sends.moved();
        silent.ends().await;
        assert!(!sends.end().unwrap().is_cancelled());
        silent.leave();
        waiting.await.unwrap().unwrap();
    }

    /// Two messages that both grow and have no room left between them do not wait for each other for ever.
    #[tokio::test(start_paused = true)]
    async fn no_deadlock() {
        let budget = Budget::new(BUDGET);
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let rooms = [(); 2].map(|()| {
            let (mut room, both) = (Room::new(budget.clone()), both.clone());
            tokio::spawn(async move {
                room.want(LARGE).await.unwrap();
                both.wait().await;
                room.want(2 * LARGE).await
            })
        });
        let mut ends = Vec::new();
        for room in rooms {
            ends.push(room.await.unwrap());
        }
        ends.sort_by_key(Result::is_ok);
        assert_eq!(ends, [Err(NoRoom::TooSlow), Ok(())], "one goes, and the other has its room");
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
