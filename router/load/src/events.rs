//! Events: one publisher, many subscribers of one topic.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Common;
use crate::payload::Payload;
use crate::phase::Course;
use crate::poller::{Poller, Ready};
use crate::protocol::Incoming;
use crate::row::{Counts, Row};
use crate::session::{Scratch, Session};

/// How long the poller waits at most before the clock is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How much the publisher writes ahead of what its connection takes.
const AHEAD: usize = 256 << 10;

/// How many bytes are on their way to subscribers at most. A router that keeps what it cannot send must not use up the
/// machine.
const UNDER_WAY: usize = 256 << 20;

/// What a message takes beside its payload, about.
const MESSAGE: usize = 64;

/// The load.
#[derive(Clone, Debug)]
pub struct Events {
    /// What all loads need.
    pub common: Common,
    /// How many sessions are subscribed.
    pub subscribers: usize,
    /// How many publications are under way at any time, one being so until every subscriber has it; none publishes as fast
    /// as the router takes them, up to 256 MB.
    pub window: Option<usize>,
    /// Ask for acknowledgements, where the protocol has them.
    pub acknowledge: bool,
}

impl Events {
    /// How many publications are under way at any time.
    pub(crate) fn most_under_way(&self) -> usize {
        let most = (UNDER_WAY / self.subscribers.max(1) / (self.common.payload + MESSAGE)).max(1);
        self.window.unwrap_or(most).min(most)
    }
}

const PUBLISHER: usize = 0;

/// Runs it.
///
/// # Errors
/// The sessions cannot be opened. What goes wrong later is counted.
pub fn events(load: &Events) -> Result<Row> {
    let common = &load.common;
    let poller = Poller::new(load.subscribers + 1)?;
    // The publisher, and then the subscribers.
    let mut sessions = Vec::with_capacity(load.subscribers + 1);
    for number in PUBLISHER..=load.subscribers {
        let mut session = Session::open(&common.target, common.encoding, &common.realm)?;
        if number != PUBLISHER {
            session.subscribe()?;
        }
        session.set_nonblocking()?;
        poller.add(&session, number)?;
        sessions.push(session);
    }
    let (mut scratch, mut ready) = (Scratch::default(), Ready::default());
    let mut book = Book::new(load.subscribers);
    let mut payload = Payload::new(common.payload);
    let mut course = Course::new(common);
    let window = load.most_under_way();
    let outcome = (|| -> Result<()> {
        while course.goes_on(book.under_way.is_empty(), false, || book.received = 0)? {
            book.is_measured = course.is_measured();
            let publisher = &mut sessions[PUBLISHER];
            while course.sends() && book.under_way.len() < window && publisher.out.waiting().len() < AHEAD {
                let number = book.publish();
                publisher.out.publish(number + 1, load.acknowledge, payload.numbered(number));
            }
            poller.flush(publisher, PUBLISHER)?;
            for number in poller.wait(&mut ready, TICK)? {
                let session = &mut sessions[number];
                session
                    .receive(&mut scratch, |incoming, _| {
                        book.take(number, incoming, &payload);
                        Ok(())
                    })
                    .with_context(|| {
                        if number == PUBLISHER { "publisher".into() } else { format!("subscriber {number}") }
                    })?;
                poller.flush(session, number)?;
            }
        }
        Ok(())
    })();
    if let Err(error) = outcome {
        book.counts.fail(|| format!("{error:#}"));
    }
    sessions.into_iter().for_each(Session::reset);
    Ok(book.row(course))
}

/// Which publications are under way, and what was received.
pub(crate) struct Book {
    subscribers: u64,
    /// The number of the first publication that is under way.
    first: u64,
    /// How many subscribers each of them is still on its way to.
    pub(crate) under_way: VecDeque<u64>,
    /// What each session should receive next.
    next: Vec<u64>,
    pub(crate) is_measured: bool,
    pub(crate) received: u64,
    pub(crate) counts: Counts,
}

impl Book {
    pub(crate) fn new(subscribers: usize) -> Self {
        Self {
            subscribers: subscribers as u64,
            first: 0,
            under_way: VecDeque::new(),
            next: vec![0; subscribers + 1],
            is_measured: false,
            received: 0,
            counts: Counts::default(),
        }
    }

    /// The number of the next publication.
    pub(crate) fn publish(&mut self) -> u64 {
        self.under_way.push_back(self.subscribers);
        self.counts.begun += self.subscribers;
        self.first + self.under_way.len() as u64 - 1
    }

    pub(crate) fn take(&mut self, session: usize, incoming: Incoming<'_>, payload: &Payload) {
        match incoming {
            Incoming::Event { payload: received } => {
                let number = payload.number(received);
                match number.filter(|number| *number < self.first + self.under_way.len() as u64) {
                    Some(number) if number >= self.next[session] => self.receive(session, number),
                    _ => {
                        self.counts.wrong += 1;
                        self.counts
                            .fail(|| format!("subscriber {session} received {number:?} too late or changed"));
                    }
                }
            }
            Incoming::Refused { reason, .. } => {
                self.counts.errors += 1;
                self.counts.fail(|| String::from_utf8_lossy(reason).into_owned());
            }
            _ => {}
        }
    }

    fn receive(&mut self, session: usize, number: u64) {
        let expected = self.next[session];
        self.next[session] = number + 1;
        self.counts.good += 1;
        self.received += u64::from(self.is_measured);
        if number > expected {
            self.counts.lost += number - expected;
            self.counts.fail(|| format!("subscriber {session} received {number} instead of {expected}"));
        }
        for passed in expected..=number {
            // Below `first` nothing is expected any more.
            if let Some(missing) = self.under_way.get_mut((passed - self.first) as usize) {
                *missing -= 1;
            }
        }
        while self.under_way.front() == Some(&0) {
            self.under_way.pop_front();
            self.first += 1;
        }
    }

    pub(crate) fn row(mut self, course: Course) -> Row {
        let missing = self.under_way.iter().sum::<u64>();
        if missing > 0 {
            self.counts.lost += missing;
            self.counts.fail(|| format!("{missing} events had not come at the end"));
        }
        let received = self.received;
        Row { counts: self.counts, ..course.row(received) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator that would not see a loss proves nothing.
    #[test]
    fn every_way_to_end_badly_is_counted() {
        let mut book = Book::new(2);
        let mut payload = Payload::new(16);
        for number in 0..4 {
            assert_eq!(book.publish(), number);
        }
        let mut receive = |book: &mut Book, session, number| {
            let sent = payload.numbered(number).to_vec();
            book.take(session, Incoming::Event { payload: &sent }, &payload);
        };
        receive(&mut book, 1, 0);
        receive(&mut book, 2, 0);
        assert_eq!(book.first, 1, "the first has come everywhere");
        // One misses 1 and 2, the other receives 1 twice, and something that was never published.
        receive(&mut book, 1, 3);
        receive(&mut book, 2, 1);
        receive(&mut book, 2, 1);
        receive(&mut book, 2, 7);
        let counts = &book.counts;
        assert_eq!((counts.begun, counts.good, counts.lost, counts.wrong), (8, 4, 2, 2));
        assert_eq!(book.first, 2);
        assert_eq!(book.under_way, [1, 1], "2 and 3 are still on their way to the other");
    }
}
