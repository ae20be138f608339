//! The source's end of a move.

use serde::{Deserialize, Serialize};

use super::{Outcome, RESTARTED, Standing};

/// What the journal holds. Written before the action that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The container runs; things are copied.
    Preparing,
    /// The container is frozen and cut off, or about to be.
    Frozen,
    /// The move is aborted; the container goes on here.
    Resuming,
    /// The destination has the container; this copy goes.
    Removing,
    /// Nothing is left to do.
    Ended,
}

/// What to do next. Each is safe to do twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Copy what can be copied while the container runs. Answer [`Input::Prepared`] or [`Input::Failed`].
    Prepare,
    /// Freeze the container, cut its network, dump it, send the rest. Answer [`Input::Delivered`] or
    /// [`Input::Failed`].
    FreezeAndDeliver,
    /// Ask the authority how this copy stands, until it answers [`Input::Answer`]; with `abort`, ask it to
    /// give the move up first.
    Ask {
        /// Give the move up.
        abort: bool,
    },
    /// Reconnect and unfreeze the container (or start it, should it not run). Answer [`Input::Resumed`].
    Resume,
    /// Remove this copy while it is still cut off. Answer [`Input::Removed`].
    Remove,
    /// The move has ended.
    End(Outcome),
}

/// How it went, or what has happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// [`Action::Prepare`] is done.
    Prepared,
    /// The destination has restored and verified its copy.
    Delivered,
    /// A step failed, or the channel to the destination is lost.
    Failed(String),
    /// A person wants it undone. Without effect once the container is frozen.
    Cancel,
    /// The decision is overdue.
    Overdue,
    /// The authority's answer.
    Answer(Standing),
    /// [`Action::Resume`] is done.
    Resumed,
    /// [`Action::Remove`] is done.
    Removed,
}

/// The source's machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    phase: Phase,
    aborting: Option<String>,
}

impl Source {
    /// Begins a move.
    pub fn begin() -> (Self, Action) {
        (Self { phase: Phase::Preparing, aborting: None }, Action::Prepare)
    }

    /// Goes on from the journal after the agent was started again. `None` if nothing is left to do.
    pub fn recover(phase: Phase) -> Option<(Self, Action)> {
        let action = match phase {
            Phase::Preparing | Phase::Frozen => Action::Ask { abort: true },
            Phase::Resuming => Action::Resume,
            Phase::Removing => Action::Remove,
            Phase::Ended => return None,
        };
        Some((Self { phase, aborting: Some(RESTARTED.to_owned()) }, action))
    }

    /// What the journal must hold before the action that [`Source::handle`] gave is done.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a person may still cancel.
    pub fn can_cancel(&self) -> bool {
        self.phase == Phase::Preparing && self.aborting.is_none()
    }

    /// The next action; `None`: go on with what is being done.
    pub fn handle(&mut self, input: Input) -> Option<Action> {
        match (self.phase, input) {
            (Phase::Preparing, Input::Prepared) if self.aborting.is_none() => {
                self.phase = Phase::Frozen;
                Some(Action::FreezeAndDeliver)
            }
            (Phase::Preparing, Input::Cancel) => self.abort("cancelled".to_owned()),
            (Phase::Preparing | Phase::Frozen, Input::Failed(why)) => self.abort(why),
            (Phase::Frozen, Input::Delivered) if self.aborting.is_none() => {
                Some(Action::Ask { abort: false })
            }
            (Phase::Frozen, Input::Overdue) => {
                self.abort("the destination did not take the container over in time".to_owned())
            }
            (Phase::Preparing | Phase::Frozen, Input::Answer(standing)) => Some(self.decided(standing)),
            (Phase::Resuming, Input::Resumed) => {
                let why = self.aborting.clone().unwrap_or_else(|| "the destination gave up".to_owned());
                Some(self.end(Outcome::Aborted(why)))
            }
            (Phase::Removing, Input::Removed) => Some(self.end(Outcome::Moved)),
            _ => None,
        }
    }

    fn abort(&mut self, why: String) -> Option<Action> {
        if self.aborting.is_some() {
            return None;
        }
        self.aborting = Some(why);
        Some(Action::Ask { abort: true })
    }

    fn decided(&mut self, standing: Standing) -> Action {
        match standing {
            Standing::Pending => Action::Ask { abort: self.aborting.is_some() },
            Standing::Holder => {
                self.phase = Phase::Resuming;
                Action::Resume
            }
            Standing::NotHolder => {
                self.phase = Phase::Removing;
                Action::Remove
            }
        }
    }

    fn end(&mut self, outcome: Outcome) -> Action {
        self.phase = Phase::Ended;
        Action::End(outcome)
    }
}
