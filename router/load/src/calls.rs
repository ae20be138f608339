//! Calls: one caller keeps so many in flight, one callee answers each with what it was given.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Common;
use crate::payload::Payload;
use crate::phase::Course;
use crate::poller::{Poller, Ready};
use crate::protocol::{Incoming, Outbox};
use crate::row::{Counts, Row, percentile};
use crate::session::{Scratch, Session};

/// How many calls there are at most. The times of all are kept, and no load runs for ever.
const MOST: usize = 4_000_000;

/// How long the poller waits at most before the clock is looked at.
const TICK: Duration = Duration::from_millis(20);

/// The load.
#[derive(Clone, Debug)]
pub struct Calls {
    /// What all loads need.
    pub common: Common,
    /// How many calls are under way at any time.
    pub in_flight: usize,
}

const CALLER: usize = 0;
const CALLEE: usize = 1;

/// Runs it.
///
/// # Errors
/// The sessions cannot be opened. What goes wrong later is counted.
pub fn calls(load: &Calls) -> Result<Row> {
    let common = &load.common;
    let open = || Session::open(&common.target, common.encoding, &common.realm);
    let (mut caller, mut callee) = (open()?, open()?);
    callee.register()?;
    caller.await_answers()?;
    let poller = Poller::new(2)?;
    for (session, number) in [(&caller, CALLER), (&callee, CALLEE)] {
        session.set_nonblocking()?;
        poller.add(session, number)?;
    }
    let (mut scratch, mut ready) = (Scratch::default(), Ready::default());
    let mut book = Book::new(common.payload);
    let mut course = Course::new(common);
    let outcome = (|| -> Result<()> {
        while course.goes_on(book.under_way == 0, book.began.len() >= MOST, || book.reset())? {
            if course.sends() {
                book.fill(load.in_flight, &mut caller.out);
            }
            book.is_measured = course.is_measured();
            poller.flush(&mut caller, CALLER)?;
            poller.flush(&mut callee, CALLEE)?;
            for number in poller.wait(&mut ready, TICK)? {
                if number == CALLER {
                    book.now = Instant::now();
                    caller.receive(&mut scratch, |incoming, _| {
                        book.take(incoming);
                        Ok(())
                    })?;
                } else {
                    callee.receive(&mut scratch, |incoming, out| {
                        if let Incoming::Invocation { request, payload } = incoming {
                            out.answer(request, payload);
                        }
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    })();
    if let Err(error) = outcome {
        book.counts.fail(|| format!("{error:#}"));
    }
    caller.reset();
    callee.reset();
    Ok(book.row(course))
}

/// Which calls are under way, and how the others ended.
struct Book {
    payload: Payload,
    /// When each call was made, by its number from 1; none once it has ended.
    began: Vec<Option<Instant>>,
    under_way: usize,
    /// When the bytes came that are being read.
    now: Instant,
    is_measured: bool,
    /// Nanoseconds that the measured ones took.
    took: Vec<u32>,
    counts: Counts,
}

impl Book {
    fn new(bytes: usize) -> Self {
        Self {
            payload: Payload::new(bytes),
            began: Vec::new(),
            under_way: 0,
            now: Instant::now(),
            is_measured: false,
            took: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn reset(&mut self) {
        self.took.clear();
    }

    fn fill(&mut self, in_flight: usize, out: &mut Outbox) {
        if self.under_way >= in_flight {
            return;
        }
        let now = Instant::now();
        while self.under_way < in_flight && self.began.len() < MOST {
            self.began.push(Some(now));
            let request = self.began.len() as u64;
            out.call(request, self.payload.numbered(request));
            self.under_way += 1;
            self.counts.begun += 1;
        }
    }

    fn take(&mut self, incoming: Incoming<'_>) {
        let (request, payload) = match incoming {
            Incoming::Answer { request, payload } => (request, Ok(payload)),
            Incoming::Refused { request, reason } => (request, Err(reason)),
            _ => return,
        };
        let call =
            usize::try_from(request).ok().and_then(|request| self.began.get_mut(request.checked_sub(1)?));
        let Some(began) = call.and_then(Option::take) else {
            self.counts.wrong += 1;
            self.counts.fail(|| format!("an answer to call {request}, which is not under way"));
            return;
        };
        self.under_way -= 1;
        match payload {
            Ok(payload) if self.payload.number(payload) == Some(request) => self.counts.good += 1,
            Ok(_) => {
                self.counts.wrong += 1;
                self.counts.fail(|| format!("call {request} has another one's answer"));
            }
            Err(reason) => {
                self.counts.errors += 1;
                self.counts.fail(|| String::from_utf8_lossy(reason).into_owned());
            }
        }
        if self.is_measured {
            self.took.push(u32::try_from((self.now - began).as_nanos()).unwrap_or(u32::MAX));
        }
    }

    fn row(mut self, course: Course) -> Row {
        self.counts.lost = self.under_way as u64;
        if self.under_way > 0 {
            let missing = self.under_way;
            self.counts.fail(|| format!("{missing} calls had no answer at the end"));
        }
        self.took.sort_unstable();
        Row {
            p50_us: percentile(&self.took, 50),
            p99_us: percentile(&self.took, 99),
            counts: self.counts,
            ..course.row(self.took.len() as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use crate::framing::Framing;
    use crate::protocol::Protocol;

    /// A generator that would not see a loss proves nothing.
    #[test]
    fn every_way_to_end_badly_is_counted() {
        let mut book = Book::new(16);
        book.fill(5, &mut Outbox::new(Protocol::Wamp(Framing::RawSocket, Encoding::Json)));
        let mut payload = Payload::new(16);
        let mut answer = |request, number| {
            book.take(Incoming::Answer { request, payload: payload.numbered(number) });
        };
        answer(1, 1);
        // Once more, another one's, and one that was never made.
        answer(1, 1);
        answer(2, 3);
        answer(9, 9);
        book.take(Incoming::Refused { request: 3, reason: b"wamp.error.unavailable" });
        assert_eq!(book.under_way, 2);
        let counts = book.counts;
        assert_eq!((counts.begun, counts.good, counts.wrong, counts.errors), (5, 1, 3, 1));
        assert!(!counts.is_clean());
    }
}
