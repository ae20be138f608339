//! The destination's end of a move.

use serde::{Deserialize, Serialize};

use super::{Outcome, RESTARTED, Standing};

/// What the journal holds. Written before the action that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Things arrive; there may be remains to remove.
    Receiving,
    /// A copy is restored, cut off; the authority is asked to commit.
    Restored,
    /// The container is here; its copy is let out.
    LettingOut,
    /// The move is aborted; this copy goes.
    Removing,
    /// Nothing is left to do.
    Ended,
}

/// What to do next. Each is safe to do twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Take what the source sends, restore it cut off, verify it. Answer [`Input::Restored`] or
    /// [`Input::Failed`].
    Receive,
    /// Ask the authority to commit, until it answers [`Input::Answer`].
    Commit,
    /// Ask the authority to give the move up, until it answers [`Input::Answer`].
    Abort,
    /// Connect this copy's network and let it run. Answer [`Input::LetOut`].
    LetOut,
    /// Remove this copy and whatever came with it. Answer [`Input::Removed`].
    Remove,
    /// The move has ended.
    End(Outcome),
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The copy stands, cut off.
    Restored,
    /// A step failed, or the channel to the source is lost. Without effect once the copy stands: then the
    /// authority decides.
    Failed(String),
    /// The authority's answer.
    Answer(Standing),
    /// [`Action::LetOut`] is done.
    LetOut,
    /// [`Action::Remove`] is done.
    Removed,
}

/// The destination's machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    phase: Phase,
    aborting: Option<String>,
}

impl Destination {
    /// Begins a move.
    pub fn begin() -> (Self, Action) {
        (Self { phase: Phase::Receiving, aborting: None }, Action::Receive)
    }

    /// Goes on from the journal after the agent was started again. `None` if nothing is left to do.
    pub fn recover(phase: Phase) -> Option<(Self, Action)> {
        let action = match phase {
            Phase::Receiving | Phase::Restored => Action::Abort,
            Phase::LettingOut => Action::LetOut,
            Phase::Removing => Action::Remove,
            Phase::Ended => return None,
        };
        Some((Self { phase, aborting: Some(RESTARTED.to_owned()) }, action))
    }

    /// What the journal must hold before the action that [`Destination::handle`] gave is done.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The next action; `None`: go on with what is being done.
    pub fn handle(&mut self, input: Input) -> Option<Action> {
        match (self.phase, input) {
            (Phase::Receiving, Input::Restored) if self.aborting.is_none() => {
                self.phase = Phase::Restored;
                Some(Action::Commit)
            }
            (Phase::Receiving, Input::Failed(why)) if self.aborting.is_none() => {
                self.aborting = Some(why);
                Some(Action::Abort)
            }
            (Phase::Receiving | Phase::Restored, Input::Answer(standing)) => Some(self.decided(standing)),
            (Phase::LettingOut, Input::LetOut) => Some(self.end(Outcome::Moved)),
            (Phase::Removing, Input::Removed) => {
                let why = self.aborting.clone().unwrap_or_else(|| "the source gave up".to_owned());
                Some(self.end(Outcome::Aborted(why)))
            }
            _ => None,
        }
    }

    fn decided(&mut self, standing: Standing) -> Action {
        match standing {
            Standing::Pending if self.aborting.is_some() => Action::Abort,
            Standing::Pending => Action::Commit,
            Standing::Holder => {
                self.phase = Phase::LettingOut;
                Action::LetOut
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
