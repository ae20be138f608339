//! What is to be done next about a container that ran once and has ended: its output and its results are in the cloud before anybody is
//! told, and it is deleted after that was answered. Nothing is remembered but what is done again without harm. Pure.

use ecep_proto::api::file::FileId;

/// What became of a part that a run has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// The cloud has it.
    Stored(FileId),
    /// There was nothing.
    Nothing,
    /// It can never be stored, and why.
    Lost(String),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Store the output.
    Log,
    /// Store the results.
    Results,
    /// Tell that it is over.
    Tell,
    /// Delete the container.
    Delete,
    /// Nothing is left to do.
    Over,
}

/// How far it has come. An agent that was killed begins with [`Run::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) log: Option<Left>,
    pub(super) results: Option<Left>,
    pub(super) is_told: bool,
    pub(super) is_deleted: bool,
}

impl Run {
    pub(super) fn next(&self) -> Step {
        match self {
            Self { is_deleted: true, .. } => Step::Over,
            Self { log: None, .. } => Step::Log,
            Self { results: None, .. } => Step::Results,
            Self { is_told: false, .. } => Step::Tell,
            _ => Step::Delete,
        }
    }

    /// The stored files: the output's and the results'.
    pub(super) fn files(&self) -> (Option<FileId>, Option<FileId>) {
        let stored = |left: &Option<Left>| match left {
            Some(Left::Stored(file)) => Some(file.clone()),
            _ => None,
        };
        (stored(&self.log), stored(&self.results))
    }

    /// What could not be stored, in a sentence.
    pub(super) fn lost(&self) -> Option<String> {
        let parts = [("its output", &self.log), ("its results", &self.results)];
        let lost = parts.into_iter().filter_map(|(what, left)| match left {
            Some(Left::Lost(why)) => Some(format!("{what} could not be stored: {why}")),
            _ => None,
        });
        let lost: Vec<String> = lost.collect();
        (!lost.is_empty()).then(|| lost.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The engine and the cloud; both outlive the agent.
    #[derive(Default)]
    struct World {
        is_there: bool,
        /// Bytes that were brought for each id, each time that the cloud did not have it.
        stored: BTreeMap<&'static str, u32>,
        told: Vec<(Option<FileId>, Option<FileId>)>,
    }

    impl World {
        fn store(&mut self, id: &'static str) -> Left {
            assert!(self.is_there, "{id} was read from a container that is gone");
            if !self.stored.contains_key(id) {
                self.stored.insert(id, 1);
            }
            Left::Stored(id.parse().unwrap())
        }

        /// One step of an agent; what it knows of it is lost if it is killed right after.
        fn step(&mut self, run: &mut Run) {
            match run.next() {
                Step::Log => run.log = Some(self.store("c1-log")),
                Step::Results => run.results = Some(self.store("c1-results")),
                Step::Tell => {
                    // The same again changes nothing.
                    if !self.told.contains(&run.files()) {
                        self.told.push(run.files());
                    }
                    run.is_told = true;
                }
                Step::Delete => {
                    assert_eq!(self.told.len(), 1, "it was deleted before anybody was told");
                    self.is_there = false;
                    run.is_deleted = true;
                }
                Step::Over => {}
            }
        }
    }

    /// Whatever the step after which the agent is killed, and however often: the log, the results and the end are in the cloud once, and
    /// only then the container is gone.
    #[test]
    fn a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing() {
        const STEPS: usize = 5;
        for first in 0..=STEPS {
            for second in 0..=STEPS {
                let mut world = World { is_there: true, ..World::default() };
                for steps in [first, second, STEPS] {
                    // The next agent finds the container, or finds nothing to do.
                    if !world.is_there {
                        break;
                    }
                    let mut run = Run::default();
                    (0..steps).for_each(|_| world.step(&mut run));
                }
                assert!(!world.is_there, "{first} {second}");
                assert_eq!(world.stored.into_iter().collect::<Vec<_>>(), [("c1-log", 1), ("c1-results", 1)]);
                let files = (Some("c1-log".parse().unwrap()), Some("c1-results".parse().unwrap()));
                assert_eq!(world.told, [files], "{first} {second}");
            }
        }
    }

    /// What can never be stored must be said, and must not keep the rest from its end.
    #[test]
    fn what_is_lost_is_said() {
        let run = Run {
            log: Some(Left::Stored("c1-log".parse().unwrap())),
            results: Some(Left::Lost("it has too many bytes".to_owned())),
            ..Run::default()
        };
        assert_eq!(run.next(), Step::Tell);
        assert_eq!(run.files(), (Some("c1-log".parse().unwrap()), None));
        assert!(run.lost().unwrap().contains("results could not be stored: it has too many bytes"));
        assert_eq!(Run { results: Some(Left::Nothing), ..run }.lost(), None);
    }
}
