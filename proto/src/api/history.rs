//! Statistics over time: what agents tell of the last ten seconds, and what the control plane has kept of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    name::{ContainerId, DeviceId, TenantSlug},
    stats::Rates,
};

/// What one summary covers, in milliseconds, and the finest step of a history.
pub const SUMMARY_MS: u64 = 10_000;
/// How long the finest step is kept, in milliseconds; an agent that is cut off keeps as much. One hour.
pub const DETAIL_MS: u64 = 60 * 60 * 1_000;
/// The step of what is kept for longer, in milliseconds: five minutes.
pub const COARSE_MS: u64 = 5 * 60 * 1_000;
/// How long it is kept, in milliseconds: 30 days.
pub const KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Points of one answer: more than a screen has columns for, few enough for one message.
pub const MAX_POINTS: u64 = 1_000;
/// Containers of a device whose history is kept. Policy: those after it in a summary are left out.
pub const MAX_SUMMED_CONTAINERS: usize = 500;
/// Summaries of one report: all that wait after an hour go in a minute and a half.
pub const MAX_SUMMARIES: usize = 16;

/// A value that was read several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Span {
    /// The smallest.
    pub min: f64,
    /// The mean over time.
    pub avg: f64,
    /// The largest.
    pub max: f64,
}

/// The part of a report that is about statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatsReport {
    /// What time it is by the agent's own clock: milliseconds since a moment of its choice. It is never set, so a
    /// device whose time of day is wrong or is set right still has its past in the right place.
    pub clock: u64,
    /// The oldest first; [`MAX_SUMMARIES`] at most.
    pub summaries: Vec<StatsSummary>,
}

/// Ten seconds of a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatsSummary {
    /// When they began, by [`StatsReport::clock`]; a multiple of [`SUMMARY_MS`].
    pub at: u64,
    /// It could not be told when it was new. Nobody is alarmed by it any more.
    #[serde(default)]
    pub late: bool,
    /// The device.
    pub host: HostSummary,
    /// Its running containers, of all tenants.
    pub containers: Vec<ContainerSummary>,
}

/// Ten seconds of a device as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostSummary {
    /// CPU in use, in percent of all cores together; none where nothing was measured yet.
    pub cpu: Option<Span>,
    /// Bytes of memory in use, mean.
    pub memory_used_bytes: u64,
    /// Free bytes on the containers' disk, mean.
    pub disk_free_bytes: u64,
    /// Bytes per second received and sent, means; none where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<[u64; 2]>,
    /// Bytes per second read and written, means; none where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<[u64; 2]>,
}

/// Ten seconds of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerSummary {
    /// Whose.
    pub tenant: TenantSlug,
    /// Its ECEP id.
    pub id: ContainerId,
    /// CPU in use, in percent of one core; none where nothing was measured yet.
    pub cpu: Option<Span>,
    /// Bytes of memory in use, mean; none where the kernel does not account it.
    pub memory_bytes: Option<u64>,
    /// Bytes per second received and sent, means; none where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<[u64; 2]>,
    /// Bytes per second read and written, means; none where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<[u64; 2]>,
}

/// Asks for the history of a device or of a container: exactly one of them. Times are in milliseconds since 1970
/// by the control plane's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct StatsQuery {
    /// A device.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// A container, wherever it was.
    #[serde(default)]
    pub container: Option<ContainerId>,
    /// From when.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// Milliseconds for each point; if left out, the finest that is kept and gives 1000 points at most. The answer says
    /// what it is: a step that is finer than what is kept, or no multiple of it, is made longer.
    #[serde(default)]
    pub step_ms: Option<u64>,
}

/// A history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StatsHistory {
    /// Milliseconds for each point.
    pub step_ms: u64,
    /// One for each step, the oldest first; in a gap they have no values.
    pub points: Vec<HistoryPoint>,
}

/// A step of a history. A value is `null` where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct HistoryPoint {
    /// When the step begins, in milliseconds since 1970 by the control plane's clock.
    pub at: u64,
    /// CPU in use: of a device in percent of all cores together, of a container in percent of one core.
    pub cpu_percent: Option<Span>,
    /// Bytes of memory in use, mean.
    pub memory_bytes: Option<u64>,
    /// Free bytes on the containers' disk, mean; only of a device.
    pub disk_free_bytes: Option<u64>,
    /// What moved through it, means.
    #[serde(flatten)]
    pub rates: Rates,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stats::HostStats;

    /// An older agent's figures and an older control plane's history have no rates: they must be read as unknown.
    #[test]
    fn what_is_older_than_the_rates_is_read() {
        let host = r#"{"cpu_percent":1.5,"cores":2,"memory_used_bytes":3,"memory_total_bytes":4,"disk_free_bytes":5}"#;
        let host: HostStats = serde_json::from_str(host).unwrap();
        assert_eq!((host.cores, host.rates), (2, Rates::default()));
        let summary = r#"{"cpu":null,"memory_used_bytes":3,"disk_free_bytes":5}"#;
        let summary: HostSummary = serde_json::from_str(summary).unwrap();
        assert_eq!((summary.network, summary.disk), (None, None));
        let point = r#"{"at":1,"cpu_percent":null,"memory_bytes":3,"disk_free_bytes":5}"#;
        let point: HistoryPoint = serde_json::from_str(point).unwrap();
        assert_eq!(point.rates, Rates::default());
    }

    /// The four stand beside the other figures under the names that clients read, and survive the way.
    #[test]
    fn rates_stand_beside_the_other_figures() {
        let rates = Rates::of(Some([1, 2]), Some([u64::MAX, 0]));
        let point =
            HistoryPoint { at: 1, cpu_percent: None, memory_bytes: None, disk_free_bytes: None, rates };
        let json = serde_json::to_value(point).unwrap();
        assert_eq!(json["network_received_bytes_per_s"], 1);
        assert_eq!(json["network_sent_bytes_per_s"], 2);
        assert_eq!(json["disk_read_bytes_per_s"], u64::MAX);
        assert_eq!(json["disk_written_bytes_per_s"], 0);
        assert_eq!(serde_json::from_value::<HistoryPoint>(json).unwrap(), point);
        assert_eq!((rates.network(), rates.disk()), (Some([1, 2]), Some([u64::MAX, 0])));
    }
}
