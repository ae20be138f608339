//! Where the time of one round went.

use std::time::Instant;

use ecep_proto::api::operation::OperationState;

use crate::bench::subject::milliseconds;
use crate::stack::Timed;

/// The steps of a round, one after the other, and their milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Took(pub(super) Vec<(String, u64)>);

impl Took {
    /// All of them.
    pub(super) fn total_ms(&self) -> u64 {
        self.0.iter().map(|(_, ms)| ms).sum()
    }

    /// Does one more step.
    pub(super) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        let done = work()?;
        self.0.push((name.to_owned(), milliseconds(began.elapsed())));
        Ok(done)
    }

    /// One more order's steps: until the device has begun, each of its phases, and until the client heard of the end.
    pub(super) fn order<R>(&mut self, timed: &Timed<R>) {
        let mut at = timed.asked_at;
        let mut name = "order".to_owned();
        let mut close = |name: &mut String, next: &str, now: u64| {
            self.0.push((std::mem::replace(name, next.to_owned()), now.saturating_sub(at)));
            at = now.max(at);
        };
        for event in &timed.events {
            // The end is no phase of its own.
            if event.state == OperationState::Running && event.phase != name {
                close(&mut name, &event.phase, event.at);
            }
        }
        if let Some(end) = timed.events.last() {
            close(&mut name, "told", end.at);
        }
        close(&mut name, "", timed.ended_at);
    }
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::operation::OperationEvent;
    use serde_json::json;

    use super::*;

    /// The steps of an order are all of its time: none is counted twice or left out.
    #[test]
    fn the_steps_of_an_order_add_up_to_its_time() {
        let event = |state: &str, phase: &str, at: u64| -> OperationEvent {
            serde_json::from_value(json!({
                "device": "dev-1", "operation": "op-1", "kind": "container.create", "state": state, "phase": phase,
                "bytes_done": null, "bytes_total": null, "container_id": null, "error": null, "at": at,
            }))
            .unwrap()
        };
        let events = vec![
            event("running", "pulling", 1010),
            event("running", "pulling", 1500),
            event("running", "creating", 1700),
            event("done", "done", 1760),
        ];
        let mut took = Took::default();
        took.order(&Timed { asked_at: 1000, ended_at: 1765, events, answer: () });
        let steps: Vec<(&str, u64)> = took.0.iter().map(|(name, ms)| (name.as_str(), *ms)).collect();
        assert_eq!(steps, [("order", 10), ("pulling", 690), ("creating", 60), ("told", 5)]);
        assert_eq!(took.total_ms(), 765);
    }
}
