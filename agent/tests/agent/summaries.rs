//! What the agent tells the control plane of its statistics.

use ecep_agent::engine::sim::SimEngine;
use ecep_proto::api::{
    fleet::Report,
    history::{SUMMARY_MS, StatsReport},
};

use crate::device::Scene;

/// Nobody watches, and the router goes away in between: every ten seconds are told all the same, each once it is over,
/// and none is missing.
#[tokio::test]
async fn every_ten_seconds_are_told_also_over_a_lost_session() {
    let mut scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let stats = |report: Report| report.stats.expect("as waited for");
    let first = stats(scene.cloud.report("the first ten seconds", |report| report.stats.is_some()).await);
    let last_at = |stats: &StatsReport| stats.summaries.last().expect("never empty").at;
    let told = last_at(&first);
    assert!(first.clock >= told + SUMMARY_MS && told % SUMMARY_MS == 0, "{first:?}");
    assert!(first.summaries.iter().all(|summary| summary.host.memory_used_bytes > 0), "{first:?}");
    scene.cloud.stop_router().await;
    scene.cloud.start_router().await;
    let is_new = |report: &Report| report.stats.as_ref().is_some_and(|stats| last_at(stats) > told);
    let next = stats(scene.cloud.report("the next ten seconds", is_new).await);
    let new = next.summaries.iter().map(|summary| summary.at).filter(|at| *at > told);
    let expected = (1..).map(|number| told + number * SUMMARY_MS);
    assert!(new.zip(expected).all(|(at, expected)| at == expected), "{next:?}");
    assert!(next.summaries.iter().any(|summary| summary.host.cpu.is_some()), "{next:?}");
    scene.end().await;
}
