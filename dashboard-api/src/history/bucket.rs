//! Five minutes of one series: ten-second slots folded into one row of fixed size. No I/O, no clock.
//!
//! A bucket remembers which of its slots it holds, so the same slot again, told twice or read back after a restart,
//! is not counted again.

use ecep_proto::api::history::{COARSE_MS, SUMMARY_MS};
use half::bf16;

/// Slots of a bucket.
pub const SLOTS: u64 = COARSE_MS / SUMMARY_MS;
/// Bytes of a bucket on disk, but for its rates.
pub const ROW_BYTES: usize = 32;
/// Bytes of its rates on disk.
pub const RATES_BYTES: usize = 16;

/// A value that was read several times. In single precision: a chart needs no more, and there are millions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: f32,
    /// The mean.
    pub avg: f32,
    /// The largest.
    pub max: f32,
}

/// Bytes per second in two directions: received and sent, or read and written.
pub type Flow = [f32; 2];

/// What is known of one slot or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// CPU in percent.
    pub cpu: Option<Range>,
    /// Bytes of memory.
    pub memory: Option<f32>,
    /// Free bytes on disk.
    pub disk: Option<f32>,
    /// Received and sent.
    pub network: Option<Flow>,
    /// Read from disk and written.
    pub disk_io: Option<Flow>,
}

impl Point {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A mean that grows, without its sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mean {
    count: u8,
    value: f32,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.count = self.count.saturating_add(1);
        self.value += (value - self.value) / f32::from(self.count);
    }

    fn get(self) -> Option<f32> {
        (self.count > 0).then_some(self.value)
    }
}

/// The same of two directions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct FlowMean {
    count: u8,
    value: Flow,
}

impl FlowMean {
    fn add(&mut self, flow: Flow) {
        self.count = self.count.saturating_add(1);
        for (value, more) in self.value.iter_mut().zip(flow) {
            *value += (more - *value) / f32::from(self.count);
        }
    }

    fn get(self) -> Option<Flow> {
        (self.count > 0).then_some(self.value)
    }
}

/// Several slots, folded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bucket {
    /// Which slots are in it: the lowest bit is the first.
    slots: u32,
    cpu: Mean,
    cpu_min: f32,
    cpu_max: f32,
    memory: Mean,
    disk: Mean,
    network: FlowMean,
    disk_io: FlowMean,
}

impl Bucket {
    /// Adds a slot (0 to 29) unless it is in already; whether it was new.
    pub fn add(&mut self, slot: u64, point: &Point) -> bool {
        let bit = 1u32 << (slot % SLOTS);
        if self.slots & bit != 0 || point.is_empty() {
            return false;
        }
        self.slots |= bit;
        if let Some(cpu) = point.cpu {
            self.fold_cpu(cpu);
        }
        if let Some(memory) = point.memory {
            self.memory.add(memory);
        }
        if let Some(disk) = point.disk {
            self.disk.add(disk);
        }
        if let Some(network) = point.network {
            self.network.add(network);
        }
        if let Some(disk_io) = point.disk_io {
            self.disk_io.add(disk_io);
        }
        true
    }

    fn fold_cpu(&mut self, cpu: Range) {
        if self.cpu.count == 0 {
            (self.cpu_min, self.cpu_max) = (cpu.min, cpu.max);
        }
        self.cpu_min = self.cpu_min.min(cpu.min);
        self.cpu_max = self.cpu_max.max(cpu.max);
        self.cpu.add(cpu.avg);
    }

    /// How many slots are in it.
    pub fn count(&self) -> u32 {
        self.slots.count_ones()
    }

    /// All of it as one point.
    pub fn point(&self) -> Point {
        let cpu = self.cpu.get().map(|avg| Range { min: self.cpu_min, avg, max: self.cpu_max });
        Point {
            cpu,
            memory: self.memory.get(),
            disk: self.disk.get(),
            network: self.network.get(),
            disk_io: self.disk_io.get(),
        }
    }

    /// As a row: the bucket's number, then this but for its rates.
    pub fn to_row(self, number: u64) -> [u8; ROW_BYTES] {
        let mut row = [0; ROW_BYTES];
        row[0..4].copy_from_slice(&number_on_disk(number).to_le_bytes());
        row[4..8].copy_from_slice(&self.slots.to_le_bytes());
        row[8..11].copy_from_slice(&[self.cpu.count, self.memory.count, self.disk.count]);
        let floats = [self.cpu_min, self.cpu.value, self.cpu_max, self.memory.value, self.disk.value];
        for (at, value) in floats.into_iter().enumerate() {
            row[12 + 4 * at..16 + 4 * at].copy_from_slice(&value.to_le_bytes());
        }
        row
    }

    /// Its rates as a row of their own, with the bucket's number; `None` where it has none. Numbers have two digits and
    /// a half, as in the hour.
    pub fn to_rates(self, number: u64) -> Option<[u8; RATES_BYTES]> {
        if self.network.count == 0 && self.disk_io.count == 0 {
            return None;
        }
        let mut row = [0; RATES_BYTES];
        row[0..4].copy_from_slice(&number_on_disk(number).to_le_bytes());
        row[4..6].copy_from_slice(&[self.network.count, self.disk_io.count]);
        for (at, value) in self.network.value.into_iter().chain(self.disk_io.value).enumerate() {
            row[8 + 2 * at..10 + 2 * at].copy_from_slice(&bf16::from_f32(value).to_le_bytes());
        }
        Some(row)
    }

    /// The same bucket with the rates of this row, if that is its own: the place may hold those of 30 days ago.
    pub fn with_rates(mut self, number: u64, row: &[u8]) -> Self {
        let flow = |at: usize| {
            let value = |at: usize| Some(bf16::from_le_bytes([*row.get(at)?, *row.get(at + 1)?]).to_f32());
            Some([value(at)?, value(at + 2)?])
                .filter(|flow| flow.iter().all(|rate| rate.is_finite() && *rate >= 0.0))
        };
        let is_own = row.get(0..4).is_some_and(|bytes| *bytes == number_on_disk(number).to_le_bytes());
        if let (true, Some(network), Some(disk_io)) = (is_own, flow(8), flow(12)) {
            self.network = FlowMean { count: row[4], value: network };
            self.disk_io = FlowMean { count: row[5], value: disk_io };
        }
        self
    }

    /// A row read back, with its number; `None` where there is none.
    pub fn from_row(row: &[u8]) -> Option<(u64, Self)> {
        let word = |at: usize| <[u8; 4]>::try_from(row.get(at..at + 4)?).ok();
        let float = |at: usize| word(at).map(f32::from_le_bytes).filter(|value| value.is_finite());
        let (number, slots) = (u32::from_le_bytes(word(0)?), u32::from_le_bytes(word(4)?));
        let counts = row.get(8..11)?;
        let mean = |count: u8, value| Mean { count, value };
        let bucket = Self {
            slots,
            cpu: mean(counts[0], float(16)?),
            cpu_min: float(12)?,
            cpu_max: float(20)?,
            memory: mean(counts[1], float(24)?),
            disk: mean(counts[2], float(28)?),
            network: FlowMean::default(),
            disk_io: FlowMean::default(),
        };
        (number > 0 && slots > 0).then_some((u64::from(number), bucket))
    }
}

/// Numbers of five minutes since 1970 fit for 40,000 years.
fn number_on_disk(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point() -> impl Strategy<Value = Point> {
        let cpu = prop::option::of((0f32..6_400.0, 0f32..1.0, 0f32..1.0)).prop_map(|cpu| {
            cpu.map(|(max, low, mid)| {
                let min = max * low;
                Range { min, avg: min + (max - min) * mid, max }
            })
        });
        let bytes = || prop::option::of(0f32..1e12);
        let flow = || prop::option::of(prop::array::uniform2(0f32..1e12));
        (cpu, bytes(), bytes(), flow(), flow()).prop_map(|(cpu, memory, disk, network, disk_io)| Point {
            cpu,
            memory,
            disk,
            network,
            disk_io,
        })
    }

    fn is_near(a: f32, b: f64) -> bool {
        (f64::from(a) - b).abs() <= 1e-4 * (1.0 + b.abs())
    }

    proptest! {
        /// In whatever order and however often slots are told, each counts once, by what was told of it first.
        #[test]
        fn no_slot_counts_twice(told in prop::collection::vec((0..SLOTS, point()), 0..200)) {
            let mut bucket = Bucket::default();
            let mut first = std::collections::BTreeMap::new();
            for (slot, point) in &told {
                let is_new = !point.is_empty() && !first.contains_key(slot);
                prop_assert_eq!(bucket.add(*slot, point), is_new);
                if is_new {
                    first.insert(*slot, *point);
                }
            }
            prop_assert_eq!(bucket.count() as usize, first.len());
            let folded = bucket.point();
            let of = |pick: fn(&Point) -> Option<f32>| {
                first.values().filter_map(pick).map(f64::from).collect::<Vec<f64>>()
            };
            for (got, all) in [
                (folded.cpu.map(|cpu| cpu.avg), of(|point| point.cpu.map(|cpu| cpu.avg))),
                (folded.memory, of(|point| point.memory)),
                (folded.disk, of(|point| point.disk)),
                (folded.network.map(|flow| flow[0]), of(|point| point.network.map(|flow| flow[0]))),
                (folded.network.map(|flow| flow[1]), of(|point| point.network.map(|flow| flow[1]))),
                (folded.disk_io.map(|flow| flow[0]), of(|point| point.disk_io.map(|flow| flow[0]))),
                (folded.disk_io.map(|flow| flow[1]), of(|point| point.disk_io.map(|flow| flow[1]))),
            ] {
                prop_assert_eq!(got.is_some(), !all.is_empty());
                if let Some(got) = got {
                    let mean = all.iter().sum::<f64>() / all.len() as f64;
                    prop_assert!(is_near(got, mean), "{got} {mean}");
                }
            }
            if let Some(cpu) = folded.cpu {
                let (lows, highs) = (of(|p| p.cpu.map(|cpu| cpu.min)), of(|p| p.cpu.map(|cpu| cpu.max)));
                prop_assert_eq!(f64::from(cpu.min), lows.into_iter().fold(f64::MAX, f64::min));
                prop_assert_eq!(f64::from(cpu.max), highs.into_iter().fold(0.0, f64::max));
            }
        }

        /// What is read back is what was written, rates to half a percent; those of another bucket are nobody's.
        #[test]
        fn rows_survive_the_disk(number in 1u64..100_000_000, told in prop::collection::vec((0..SLOTS, point()), 0..40)) {
            let mut bucket = Bucket::default();
            for (slot, point) in &told {
                bucket.add(*slot, point);
            }
            let read = Bucket::from_row(&bucket.to_row(number));
            let plain = Bucket { network: FlowMean::default(), disk_io: FlowMean::default(), ..bucket };
            prop_assert_eq!(read, (bucket.count() > 0).then_some((number, plain)));
            let rates = bucket.to_rates(number);
            prop_assert_eq!(rates.is_some(), bucket.point().network.is_some() || bucket.point().disk_io.is_some());
            let row = rates.unwrap_or_default();
            prop_assert_eq!(plain.with_rates(number + 1, &row), plain);
            let whole = plain.with_rates(number, &row);
            for (read, written) in [(whole.network, bucket.network), (whole.disk_io, bucket.disk_io)] {
                prop_assert_eq!(read.count, written.count);
                let is_near = |(read, written): (f32, f32)| (read - written).abs() <= 0.004 * written;
                prop_assert!(read.value.into_iter().zip(written.value).all(is_near), "{:?} {:?}", read, written);
            }
        }

        /// Whatever lies on a damaged disk, reading it must not panic nor give what is not a number.
        #[test]
        fn any_bytes_can_be_read(
            row in prop::collection::vec(any::<u8>(), 0..40), rates in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let number = rates.first_chunk().map_or(1, |bytes| u64::from(u32::from_le_bytes(*bytes)));
            let (_, bucket) = Bucket::from_row(&row).unwrap_or_default();
            let point = bucket.with_rates(number, &rates).point();
            prop_assert!(point.memory.is_none_or(f32::is_finite) && point.disk.is_none_or(f32::is_finite));
            for flow in [point.network, point.disk_io] {
                prop_assert!(flow.is_none_or(|flow| flow.iter().all(|rate| rate.is_finite() && *rate >= 0.0)));
            }
        }
    }
}
