//! Every interleaving of a move with failures, cancels and crashes of either end, as far as the bounds below:
//! the world must never see two copies, and once the failures stop it must see exactly one, with nothing left.

use std::collections::HashSet;

use ecep_fleet::migration::{
    Outcome, Standing,
    authority::Holding,
    destination::{self, Destination},
    source::{self, Source},
};
use ecep_proto::api::name::{DeviceId, OperationId};

/// Crashes of the two ends together. More add nothing: a crash only brings a machine back to its journal.
const CRASHES: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Copy {
    None,
    CutOff,
    Visible,
}

/// The whole world at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    authority: Holding,
    source: Option<Source>,
    source_journal: source::Phase,
    source_action: Option<source::Action>,
    source_copy: Copy,
    destination: Option<Destination>,
    destination_journal: destination::Phase,
    destination_action: Option<destination::Action>,
    destination_copy: Copy,
    crashes_left: u8,
    source_outcome: Option<bool>,
    destination_outcome: Option<bool>,
}

fn source_id() -> DeviceId {
    "source".parse().expect("a good name")
}

fn destination_id() -> DeviceId {
    "destination".parse().expect("a good name")
}

fn migration_id() -> OperationId {
    "move".parse().expect("a good name")
}

impl World {
    fn begin() -> Self {
        let (source, source_action) = Source::begin();
        let (destination, destination_action) = Destination::begin();
        let authority = Holding::new(source_id())
            .begin(&migration_id(), &source_id(), &destination_id())
            .expect("the move begins");
        Self {
            authority,
            source_journal: source.phase(),
            source: Some(source),
            source_action: Some(source_action),
            source_copy: Copy::Visible,
            destination_journal: destination.phase(),
            destination: Some(destination),
            destination_action: Some(destination_action),
            destination_copy: Copy::None,
            crashes_left: CRASHES,
            source_outcome: None,
            destination_outcome: None,
        }
    }

    /// Tells the source, and writes its journal as the agent does.
    fn tell_source(mut self, input: source::Input) -> Self {
        if let Some(machine) = &mut self.source
            && let Some(action) = machine.handle(input)
        {
            self.source_journal = machine.phase();
            self.source_action = Some(action);
        }
        self
    }

    fn tell_destination(mut self, input: destination::Input) -> Self {
        if let Some(machine) = &mut self.destination
            && let Some(action) = machine.handle(input)
        {
            self.destination_journal = machine.phase();
            self.destination_action = Some(action);
        }
        self
    }

    fn standing_of_source(&self) -> Standing {
        self.authority.standing(&migration_id(), &source_id(), 1)
    }

    fn standing_of_destination(&self) -> Standing {
        self.authority.standing(&migration_id(), &destination_id(), 2)
    }

    /// All worlds that may come next by the source's doing. `faults`: whether things may go wrong.
    fn source_steps(&self, faults: bool) -> Vec<World> {
        let mut next = Vec::new();
        let failed = || source::Input::Failed("a fault".to_owned());
        let mut world = self.clone();
        match &self.source_action {
            Some(source::Action::Prepare) => {
                next.push(world.clone().tell_source(source::Input::Prepared));
                if faults {
                    next.push(world.clone().tell_source(failed()));
                    next.push(world.tell_source(source::Input::Cancel));
                }
            }
            Some(source::Action::FreezeAndDeliver) => {
                if world.source_copy == Copy::Visible {
                    world.source_copy = Copy::CutOff;
                    next.push(world);
                } else {
                    match self.destination_journal {
                        destination::Phase::Receiving if self.destination.is_some() => {}
                        destination::Phase::Removing | destination::Phase::Ended
                            if self.standing_of_destination() != Standing::Holder =>
                        {
                            next.push(world.clone().tell_source(failed()));
                        }
                        _ => next.push(world.clone().tell_source(source::Input::Delivered)),
                    }
                    if faults {
                        next.push(world.clone().tell_source(failed()));
                        next.push(world.tell_source(source::Input::Cancel));
                    }
                }
            }
            Some(source::Action::Ask { abort }) => {
                if *abort {
                    world.authority = world.authority.abort(&migration_id());
                    if faults {
                        // The answer is lost: it is asked again.
                        next.push(world.clone());
                    }
                }
                let standing = world.standing_of_source();
                if faults || (standing == Standing::Pending && self.destination_is_stuck()) {
                    next.push(world.clone().tell_source(source::Input::Overdue));
                }
                if standing != Standing::Pending {
                    next.push(world.tell_source(source::Input::Answer(standing)));
                }
            }
            Some(source::Action::Resume) => {
                world.source_copy = Copy::Visible;
                if faults {
                    next.push(world.clone());
                }
                next.push(world.tell_source(source::Input::Resumed));
            }
            Some(source::Action::Remove) => {
                world.source_copy = Copy::None;
                if faults {
                    next.push(world.clone());
                }
                next.push(world.tell_source(source::Input::Removed));
            }
            Some(source::Action::End(outcome)) => {
                world.source_outcome = Some(*outcome == Outcome::Moved);
                world.source_action = None;
                next.push(world);
            }
            None => {}
        }
        if faults && self.crashes_left > 0 && self.source.is_some() {
            let mut crashed = self.clone();
            crashed.crashes_left -= 1;
            (crashed.source, crashed.source_action) = match Source::recover(self.source_journal) {
                Some((machine, action)) => (Some(machine), Some(action)),
                None => (None, None),
            };
            next.push(crashed);
        }
        next
    }

    /// Nothing more comes from the destination by itself.
    fn destination_is_stuck(&self) -> bool {
        matches!(self.destination_action, None | Some(destination::Action::Receive))
    }

    fn destination_steps(&self, faults: bool) -> Vec<World> {
        let mut next = Vec::new();
        let failed = || destination::Input::Failed("a fault".to_owned());
        let mut world = self.clone();
        match &self.destination_action {
            Some(destination::Action::Receive) => {
                let delivering = self.source_action == Some(source::Action::FreezeAndDeliver)
                    && self.source_copy == Copy::CutOff;
                if delivering && self.destination_copy == Copy::None {
                    let mut restored = world.clone();
                    restored.destination_copy = Copy::CutOff;
                    next.push(restored);
                }
                if self.destination_copy == Copy::CutOff {
                    next.push(world.clone().tell_destination(destination::Input::Restored));
                }
                let source_gave_up = !matches!(
                    self.source_action,
                    Some(source::Action::Prepare | source::Action::FreezeAndDeliver)
                );
                if faults || source_gave_up {
                    next.push(world.tell_destination(failed()));
                }
            }
            Some(destination::Action::Commit) => {
                world.authority = world.authority.commit(&migration_id(), &destination_id());
                if faults {
                    next.push(world.clone());
                }
                let standing = world.standing_of_destination();
                next.push(world.tell_destination(destination::Input::Answer(standing)));
            }
            Some(destination::Action::Abort) => {
                world.authority = world.authority.abort(&migration_id());
                if faults {
                    next.push(world.clone());
                }
                let standing = world.standing_of_destination();
                next.push(world.tell_destination(destination::Input::Answer(standing)));
            }
            Some(destination::Action::LetOut) => {
                world.destination_copy = Copy::Visible;
                if faults {
                    next.push(world.clone());
                }
                next.push(world.tell_destination(destination::Input::LetOut));
            }
            Some(destination::Action::Remove) => {
                world.destination_copy = Copy::None;
                if faults {
                    next.push(world.clone());
                }
                next.push(world.tell_destination(destination::Input::Removed));
            }
            Some(destination::Action::End(outcome)) => {
                world.destination_outcome = Some(*outcome == Outcome::Moved);
                world.destination_action = None;
                next.push(world);
            }
            None => {}
        }
        if faults && self.crashes_left > 0 && self.destination.is_some() {
            let mut crashed = self.clone();
            crashed.crashes_left -= 1;
            (crashed.destination, crashed.destination_action) =
                match Destination::recover(self.destination_journal) {
                    Some((machine, action)) => (Some(machine), Some(action)),
                    None => (None, None),
                };
            next.push(crashed);
        }
        next
    }

    fn visible(&self) -> usize {
        [self.source_copy, self.destination_copy].iter().filter(|copy| **copy == Copy::Visible).count()
    }

    /// Lets things go well from here on, and gives back where they end.
    fn settle(mut self) -> World {
        for _ in 0..100 {
            let step = self
                .source_steps(false)
                .into_iter()
                .chain(self.destination_steps(false))
                .find(|next| *next != self);
            match step {
                Some(next) => self = next,
                None => return self,
            }
        }
        panic!("never settles: {self:#?}");
    }
}

fn every_world() -> HashSet<World> {
    let mut seen = HashSet::from([World::begin()]);
    let mut open = vec![World::begin()];
    while let Some(world) = open.pop() {
        for next in world.source_steps(true).into_iter().chain(world.destination_steps(true)) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

/// The one promise: at no moment, whatever has failed, does the world see two copies.
#[test]
fn there_are_never_two_visible_copies() {
    let worlds = every_world();
    assert!(worlds.len() > 1_000, "only {} worlds: the search is broken", worlds.len());
    for world in &worlds {
        assert!(world.visible() <= 1, "two copies: {world:#?}");
    }
}

/// Once failures stop, exactly one copy serves, the other is gone, and both ends agree how it ended.
#[test]
fn one_copy_serves_once_failures_stop_and_nothing_is_left() {
    for world in every_world() {
        let end = world.clone().settle();
        let copies = (end.source_copy, end.destination_copy);
        let moved = end.authority.holder == destination_id();
        let expected = if moved { (Copy::None, Copy::Visible) } else { (Copy::Visible, Copy::None) };
        assert_eq!(copies, expected, "from {world:#?}\nto {end:#?}");
        assert_eq!(end.authority.moving, None, "the authority still waits: {end:#?}");
        for outcome in [end.source_outcome, end.destination_outcome].into_iter().flatten() {
            assert_eq!(outcome, moved, "an end is told wrong: {end:#?}");
        }
    }
}

/// Without a failure the container moves.
#[test]
fn without_a_failure_the_container_moves() {
    let end = World::begin().settle();
    assert_eq!((end.source_outcome, end.destination_outcome), (Some(true), Some(true)), "{end:#?}");
}
