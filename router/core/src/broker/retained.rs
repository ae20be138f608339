//! Events that are kept for whoever subscribes later (specification, "Event Retention").
//!
//! For each topic the last event is kept that everybody may get, and after it those that only some may get. Nothing
//! is ever taken out but by a later event: the specification knows no other way.

use std::collections::BTreeMap;
use std::ops::Bound;

use ecep_proto::error::LIMIT_EXCEEDED;
use ecep_proto::id::SessionId;
use ecep_proto::uri::Match;

use super::filter::Filter;
use super::publish::Publication;
use crate::options::Failure;
use crate::session::Session;
use crate::size;

/// Retained events of one realm. Whoever subscribes to all of them gets as many at once: its queue must take them.
pub const MAX_RETAINED_EVENTS: usize = 10_000;

/// Bytes of all retained events of one realm, as they lie in memory, for the same reason: a client's queue holds 32 MiB.
pub const MAX_RETAINED_BYTES: usize = 8 << 20;

/// Retained events of one topic: those that only some may get come on top of the one for everybody.
pub const MAX_RETAINED_OF_TOPIC: usize = 64;

/// How much is retained in a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RetainedUse {
    /// Events.
    pub events: usize,
    /// Their bytes, about.
    pub bytes: usize,
    /// Events that were not retained because a limit was reached, and nobody was told.
    pub refused: u64,
}

#[derive(Debug)]
struct Entry {
    event: Publication,
    /// The publisher, unless it wants its own event. Its key may be another session's by now, its id never.
    except: Option<SessionId>,
    bytes: usize,
}

impl Entry {
    fn admits(&self, session: &Session) -> bool {
        let filter = self.event.audience.filter.as_ref();
        self.except != Some(session.id) && filter.is_none_or(|filter| filter.passes(session))
    }
}

#[derive(Debug, Default)]
pub(super) struct Retained {
    /// By topic, the oldest first.
    by_topic: BTreeMap<String, Vec<Entry>>,
    usage: RetainedUse,
}

impl Retained {
    pub(super) fn usage(&self) -> RetainedUse {
        self.usage
    }

    /// Notes that an event was not retained, and nobody was told.
    pub(super) fn count_refused(&mut self) {
        self.usage.refused += 1;
    }

    /// Keeps an event, and drops those that nobody would get any more because of it.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn keep(
        &mut self,
        topic: &str,
        publisher: &Session,
        event: &Publication,
    ) -> Result<(), Failure> {
        let event = Publication { payload: event.payload.detached(), ..event.clone() };
        let except = event.audience.except.map(|_| publisher.id);
        let of_filter = event.audience.filter.as_deref().map_or(0, Filter::size);
        let of_event = size::of_payload(&event.payload) + size::of_dict(&event.details);
        let bytes = size_of::<Entry>() + topic.len() + of_filter + of_event;
        let entry = Entry { event, except, bytes };
        let known = self.by_topic.get(topic).map_or(&[][..], Vec::as_slice);
        let stays = survivors(known, &entry, publisher);
        let kept = || known.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(entry, _)| entry);
        let events = self.usage.events - known.len() + kept().count() + 1;
        let before: usize = known.iter().map(|entry| entry.bytes).sum();
        let total = self.usage.bytes - before + kept().map(|entry| entry.bytes).sum::<usize>() + bytes;
        let refused = |text| Err(Failure::refused(LIMIT_EXCEEDED, text));
        if kept().count() >= MAX_RETAINED_OF_TOPIC {
            return refused(format!("{topic} has {MAX_RETAINED_OF_TOPIC} retained events already"));
        }
        if events > MAX_RETAINED_EVENTS {
            return refused(format!("this realm retains {MAX_RETAINED_EVENTS} events already"));
        }
        if total > MAX_RETAINED_BYTES {
            return refused(format!(
                "retained events would take {total} bytes, {MAX_RETAINED_BYTES} are allowed"
            ));
        }
        let entries = self.by_topic.entry(topic.to_owned()).or_default();
        let mut stays = stays.into_iter();
        entries.retain(|_| stays.next().unwrap_or(true));
        entries.push(entry);
        self.usage = RetainedUse { events, bytes: total, ..self.usage };
        Ok(())
    }

    /// For each topic that the pattern covers, the last event that this session may get.
    pub(super) fn of_pattern<'a>(
        &'a self,
        kind: Match,
        pattern: &'a str,
        session: &'a Session,
    ) -> impl Iterator<Item = (&'a str, &'a Publication)> {
        // What every topic that is covered begins with.
        let start = match kind {
            Match::Exact | Match::Prefix => pattern,
            Match::Wildcard if pattern.starts_with('.') => "",
            Match::Wildcard => pattern.find("..").map_or(pattern.trim_end_matches('.'), |at| &pattern[..at]),
        };
        let from = self.by_topic.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        let topics = from.take_while(move |(topic, _)| topic.starts_with(start));
        let covered = topics.filter(move |(topic, _)| kind.covers(pattern, topic));
        covered.filter_map(move |(topic, entries)| {
            let last = entries.iter().rev().find(|entry| entry.admits(session))?;
            Some((topic.as_str(), &last.event))
        })
    }
}

/// Which of the older events somebody could still get.
fn survivors(older: &[Entry], entry: &Entry, publisher: &Session) -> Vec<bool> {
    if entry.event.audience.filter.is_some() {
        let same_audience = |old: &Entry| {
            old.event.audience.filter == entry.event.audience.filter
                && (entry.except.is_none() || entry.except == old.except)
        };
        return older.iter().map(|old| !same_audience(old)).collect();
    }
    // Everybody gets the new one but, perhaps, its publisher: who still gets the last one that was for it.
    let last = older.iter().rposition(|old| entry.except.is_some() && old.admits(publisher));
    (0..older.len()).map(|index| Some(index) == last).collect()
}
