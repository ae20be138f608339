//! Whose inputs a realm handles next: they are handled in the order in which they came, but a session that has had its
//! share of a round waits for the next one, and everybody else goes first.
//!
//! A share is counted in units of work, as an input can be worth one or ten thousand of them. Must not know what an input
//! is. How many wait is bounded by what the hub lets in.

use std::collections::{HashMap, VecDeque};

use ecep_router_core::SessionKey;

/// The inputs that wait.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    /// How many units a session may spend in a round; the input, or the part of one, that it is spent with is handled.
    share: usize,
    /// What is left of this round.
    round: VecDeque<(SessionKey, T)>,
    /// What those left who have had their share.
    next_round: VecDeque<(SessionKey, T)>,
    /// What each session has spent in this round.
    spent: HashMap<SessionKey, usize>,
}

impl<T> Turns<T> {
    pub(crate) fn new(share: usize) -> Self {
        Self { share, round: VecDeque::new(), next_round: VecDeque::new(), spent: HashMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.round.is_empty() && self.next_round.is_empty()
    }

    /// Something has come from a session.
    pub(crate) fn push(&mut self, session: SessionKey, input: T) {
        self.round.push_back((session, input));
    }

    /// What is to be handled next, and for how many units; [`Turns::done`] is told afterwards.
    pub(crate) fn next(&mut self) -> Option<(SessionKey, T, usize)> {
        loop {
            let Some((session, input)) = self.round.pop_front() else {
                self.spent.clear();
                if self.next_round.is_empty() {
                    return None;
                }
                std::mem::swap(&mut self.round, &mut self.next_round);
                continue;
            };
            let left = self.share.saturating_sub(self.spent.get(&session).copied().unwrap_or(0));
            if left > 0 {
                return Some((session, input, left));
            }
            self.next_round.push_back((session, input));
        }
    }

    /// It took so many units. What is left of it is handled in the next round.
    pub(crate) fn done(&mut self, session: SessionKey, units: usize, rest: Option<T>) {
        let spent = self.spent.entry(session).or_default();
        *spent += units;
        if let Some(rest) = rest {
            // What else the session has sent comes after that.
            *spent = self.share.max(*spent);
            self.next_round.push_back((session, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::IntoIter;

    use proptest::prelude::*;

    use super::*;

    const SHARE: usize = 100;

    /// The most that a single part of an input costs.
    const LARGEST: usize = 300;

    #[derive(Clone, Debug)]
    enum Step {
        /// A session sends something in parts of these costs.
        Send(usize, Vec<usize>),
        /// The realm handles one input.
        Handle,
    }

    fn step() -> impl Strategy<Value = Step> {
        let cost = prop_oneof![4 => 1..5usize, 1 => 1..=LARGEST];
        prop_oneof![
            (0..5usize, prop::collection::vec(cost, 1..20))
                .prop_map(|(session, costs)| Step::Send(session, costs)),
            Just(Step::Handle),
        ]
    }

    /// A part of an input: its place in what its session sent, and its cost.
    type Part = (usize, usize);

    #[derive(Default)]
    struct World {
        sent: [usize; 5],
        handled: [usize; 5],
        /// Since a session has been waiting with its oldest part, what every session was given meanwhile.
        meanwhile: [[usize; 5]; 5],
    }

    impl World {
        fn send(&mut self, turns: &mut Turns<IntoIter<Part>>, session: usize, costs: Vec<usize>) {
            let first = self.sent[session];
            self.sent[session] += costs.len();
            let parts: Vec<Part> = costs.into_iter().enumerate().map(|(n, cost)| (first + n, cost)).collect();
            turns.push(SessionKey(session), parts.into_iter());
        }

        /// Handles one input, or as much of it as may be.
        fn handle(&mut self, turns: &mut Turns<IntoIter<Part>>) -> bool {
            let Some((key, mut parts, left)) = turns.next() else { return false };
            let session = key.0;
            let mut units = 0;
            while units < left
                && let Some((place, cost)) = parts.next()
            {
                assert_eq!(place, self.handled[session], "a session's parts are handled in order");
                self.handled[session] += 1;
                units += cost;
            }
            self.meanwhile[session] = [0; 5];
            for (waiting, given) in self.meanwhile.iter_mut().enumerate() {
                if waiting != session && self.sent[waiting] > self.handled[waiting] {
                    given[session] += units;
                    // What is left of this round, and the next one.
                    let most = 2 * (SHARE + LARGEST);
                    assert!(given[session] <= most, "{session} had {given:?} while {waiting} waited");
                }
            }
            turns.done(key, units, (parts.len() > 0).then_some(parts));
            true
        }
    }

    proptest! {
        /// However much a session sends, nobody waits for more of it than two shares; all is handled, in order.
        #[test]
        fn nobody_waits_for_more_than_two_shares(steps in prop::collection::vec(step(), 0..60)) {
            let (mut turns, mut world) = (Turns::new(SHARE), World::default());
            for step in steps {
                match step {
                    Step::Send(session, costs) => world.send(&mut turns, session, costs),
                    Step::Handle => drop(world.handle(&mut turns)),
                }
            }
            while world.handle(&mut turns) {}
            prop_assert!(turns.is_empty());
            prop_assert_eq!(world.handled, world.sent);
        }

        /// As long as nobody sends more than its share, everything is handled in the order in which it came.
        #[test]
        fn first_come_first_served(sessions in prop::collection::vec(0..5usize, 0..100)) {
            let mut turns = Turns::new(SHARE);
            for (place, session) in sessions.iter().enumerate() {
                turns.push(SessionKey(*session), place);
            }
            for (place, session) in sessions.iter().enumerate() {
                let next = turns.next().map(|(key, place, _)| (key.0, place));
                prop_assert_eq!(next, Some((*session, place)));
                turns.done(SessionKey(*session), SHARE / 100, None);
            }
            prop_assert!(turns.next().is_none());
        }
    }
}
