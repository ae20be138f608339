//! What a move would take, from what both ends told and from what went over the line before.

use std::time::Duration;

use ecep_fleet::migration::estimate::{self, ASSUMED_RATE, Load, Way};
use ecep_proto::api::{
    migration::{MigrationEstimate, MigrationPhase, MigrationState, MigrationView, Needs, Verdict},
    name::DeviceId,
};

/// What a move would take; none where it cannot be.
pub(super) fn forecast(
    verdict: Verdict,
    needs: &Needs,
    image_bytes: u64,
    known_rate: Option<u64>,
) -> Option<MigrationEstimate> {
    let way = match verdict {
        Verdict::Refused => return None,
        _ if !needs.is_running => Way::AtRest,
        Verdict::Live => Way::Live,
        Verdict::Cold => Way::Cold,
    };
    let volumes: u64 = needs.volumes.iter().map(|(_, bytes)| bytes).sum();
    let load = Load {
        memory: needs.memory_bytes,
        files: needs.writable_bytes.saturating_add(volumes),
        image: image_bytes,
        has_ports: !needs.ports.is_empty(),
    };
    let bytes_per_second = known_rate.unwrap_or(ASSUMED_RATE);
    let told = estimate::before_the_start(way, &load, bytes_per_second);
    Some(MigrationEstimate {
        total_ms: milliseconds(told.total),
        downtime_ms: milliseconds(told.downtime),
        bytes_per_second,
        is_rate_assumed: known_rate.is_none(),
    })
}

/// What the line between two devices carries in a second, by the last move over it, either way, that tells something. `moves` has
/// the newest first.
pub(super) fn known_rate(moves: &[MigrationView], one: &DeviceId, other: &DeviceId) -> Option<u64> {
    let is_between = |view: &&MigrationView| {
        let ends = (&view.source, &view.destination);
        ends == (one, other) || ends == (other, one)
    };
    // One that was held to a rate says nothing of the line.
    let free = |view: &&MigrationView| view.state == MigrationState::Done && view.bytes_per_second.is_none();
    moves.iter().filter(is_between).filter(free).find_map(rate_of)
}

fn rate_of(view: &MigrationView) -> Option<u64> {
    let copying = view.phases.iter().filter(|took| took.phase == MigrationPhase::Copying);
    let phases = copying.map(|took| (took.bytes, took.milliseconds));
    let rounds = view.rounds.iter().map(|round| (round.bytes, round.milliseconds));
    estimate::rate(phases.chain(rounds).map(|(bytes, took)| (bytes, Duration::from_millis(took))))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::migration::RoundTook;
    use serde_json::json;

    use super::*;

    fn ended(source: &str, destination: &str, bytes: u64, limit: Option<u64>) -> MigrationView {
        let mut view: MigrationView = serde_json::from_value(json!({
            "operation": "m", "container": "c", "name": "c", "source": source, "destination": destination,
            "mode": "live", "bytes_per_second": limit, "state": "done", "phase": "finishing", "cancellable": false,
            "bytes_done": 0, "bytes_total": null, "phases": [], "downtime_ms": 1, "started_at": 1, "ended_at": 2,
            "error": null,
        }))
        .unwrap();
        view.rounds = vec![RoundTook { pages: 1, bytes, milliseconds: 1_000 }];
        view
    }

    /// A slow line must not be promised to be quick because another one was, or because a move was held back on purpose.
    #[test]
    fn a_line_is_known_by_the_last_free_move_over_it_either_way() {
        let [a, b, c] = ["a", "b", "c"].map(|id| id.parse::<DeviceId>().unwrap());
        let moves = [
            ended("a", "b", 65_536, None),
            ended("a", "b", 9_000_000, Some(9_000_000)),
            ended("b", "a", 80_000_000, None),
            ended("a", "b", 70_000_000, None),
        ];
        assert_eq!(known_rate(&moves, &a, &b), Some(80_000_000));
        assert_eq!(known_rate(&moves, &a, &c), None);
    }
}
