//! Idle sessions: opens so many and holds them, answering pings, to see what each costs.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::Common;
use crate::poller::{Poller, Ready};
use crate::row::{Counts, Moment, Row};
use crate::session::{Scratch, Session};
use crate::watch::Watched;

/// The load. It holds the sessions for the measured time; warming up is not needed.
#[derive(Clone, Debug)]
pub struct Idle {
    /// What all loads need.
    pub common: Common,
    /// How many sessions.
    pub sessions: usize,
}

/// Runs it.
///
/// # Errors
/// The sessions cannot be opened. One that is closed later is counted.
pub fn idle(load: &Idle) -> Result<Row> {
    let common = &load.common;
    let watched = common.watched.as_ref();
    let before = watched.map(Watched::memory).transpose()?;
    let begin = Moment::now(watched)?;
    let poller = Poller::new(load.sessions)?;
    let mut sessions = Vec::with_capacity(load.sessions);
    for number in 0..load.sessions {
        let session = Session::open(&common.target, common.encoding, &common.realm)
            .with_context(|| format!("session {number}"))?;
        session.set_nonblocking()?;
        poller.add(&session, number)?;
        sessions.push(Some(session));
    }
    let end = Moment::now(watched)?;
    let mut counts = Counts { begun: load.sessions as u64, ..Counts::default() };
    let until = Instant::now() + common.measured;
    let (mut scratch, mut ready) = (Scratch::default(), Ready::default());
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        for number in poller.wait(&mut ready, left)? {
            let Some(session) = &mut sessions[number] else { continue };
            let received = session.receive(&mut scratch, |_, _| Ok(()));
            if let Err(error) = received.and_then(|()| poller.flush(session, number)) {
                counts.lost += 1;
                counts.fail(|| format!("session {number}: {error:#}"));
                sessions[number] = None;
            }
        }
    }
    counts.good = counts.begun - counts.lost;
    let after = watched.map(Watched::memory).transpose()?;
    let memory = after.zip(before).map(|(after, before)| after.saturating_sub(before) / counts.begun.max(1));
    sessions.into_iter().flatten().for_each(Session::reset);
    Ok(Row { memory_bytes: memory, counts, ..begin.row(end, load.sessions as u64) })
}
