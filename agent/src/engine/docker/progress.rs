//! How many bytes of a pull are done, summed over its layers. No I/O.

use std::collections::HashMap;

use bollard::models::CreateImageInfo;

use crate::engine::PullProgress;

/// An image has at most 127 layers; a registry that tells of more is not believed.
const MAX_LAYERS: usize = 512;

/// The layers of one pull.
#[derive(Debug, Default)]
pub(super) struct LayerBytes(HashMap<String, PullProgress>);

impl LayerBytes {
    /// Takes one step that the engine tells of; answers the sum where it has changed.
    pub(super) fn step(&mut self, step: CreateImageInfo) -> Option<PullProgress> {
        let layer = step.id?;
        let status = step.status.unwrap_or_default();
        match status.as_str() {
            // Of a layer that came at once the engine may tell first that it is unpacked, with the bytes that came.
            "Extracting" if !self.0.contains_key(&layer) => {
                let total = u64::try_from(step.progress_detail?.total?).ok()?;
                if self.0.len() < MAX_LAYERS {
                    self.0.insert(layer, PullProgress { done: total, total });
                }
            }
            "Downloading" => {
                let detail = step.progress_detail?;
                let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
                let (done, total) = (bytes(detail.current)?, bytes(detail.total).unwrap_or_default());
                if self.0.len() < MAX_LAYERS || self.0.contains_key(&layer) {
                    self.0.insert(layer, PullProgress { done, total: total.max(done) });
                }
            }
            "Download complete" | "Pull complete" => {
                let known = self.0.get_mut(&layer)?;
                known.done = known.total;
            }
            _ => return None,
        }
        let sum = self.0.values().fold(PullProgress::default(), |sum, layer| PullProgress {
            done: sum.done.saturating_add(layer.done),
            total: sum.total.saturating_add(layer.total),
        });
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn step(layer: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..CreateImageInfo::default()
        }
    }

    /// What the bar shows must be the sum over layers, and must not fall when a layer is complete.
    #[test]
    fn sums_over_layers() {
        let mut layers = LayerBytes::default();
        assert_eq!(layers.step(step("latest", "Pulling from app", None)), None);
        assert_eq!(
            layers.step(step("a", "Downloading", Some((10, 100)))),
            Some(PullProgress { done: 10, total: 100 })
        );
        assert_eq!(
            layers.step(step("b", "Downloading", Some((5, 50)))),
            Some(PullProgress { done: 15, total: 150 })
        );
        assert_eq!(
            layers.step(step("a", "Download complete", None)),
            Some(PullProgress { done: 105, total: 150 })
        );
        assert_eq!(layers.step(step("b", "Extracting", Some((1, 50)))), None);
    }

    /// The engine leaves out steps that come close after each other: a small layer may have been loaded before it tells of it.
    #[test]
    fn a_layer_that_came_at_once_is_counted() {
        let mut layers = LayerBytes::default();
        assert_eq!(layers.step(step("a", "Download complete", None)), None);
        let whole = Some(PullProgress { done: 50, total: 50 });
        assert_eq!(layers.step(step("a", "Extracting", Some((1, 50)))), whole);
        assert_eq!(layers.step(step("a", "Pull complete", None)), whole);
    }
}
