//! The last hour of one series in ten-second slots, in memory. No I/O, no clock.

use ecep_proto::api::history::{DETAIL_MS, SUMMARY_MS};
use half::{bf16, f16};

use super::bucket::{Point, Range};

/// Slots that are held: an hour, and five minutes more for whoever asks for the last hour by a clock that is behind.
pub const SLOTS_HELD: usize = (DETAIL_MS / SUMMARY_MS) as usize + 30;

/// CPU in half precision (three digits, up to 65,504 %), rates in a precision of two digits and a half without a bound,
/// the rest in single precision; NaN where nothing is known. A container takes 18 bytes for each slot, a device 22.
#[derive(Debug)]
pub struct Hour {
    /// The newest slot; those before it, [`SLOTS_HELD`] in all, are held.
    newest: u64,
    cpu: Box<[[f16; 3]]>,
    memory: Box<[f32]>,
    /// Only a device's.
    disk: Option<Box<[f32]>>,
    /// Received, sent, read, written; only where any was told.
    rates: Option<Box<[[bf16; 4]]>>,
}

impl Hour {
    /// An empty one that begins with this slot.
    pub fn new(slot: u64) -> Self {
        Self {
            newest: slot,
            cpu: vec![[f16::NAN; 3]; SLOTS_HELD].into(),
            memory: vec![f32::NAN; SLOTS_HELD].into(),
            disk: None,
            rates: None,
        }
    }

    /// Bytes that it takes, but for a few.
    pub fn bytes(&self) -> usize {
        let disk = self.disk.as_ref().map_or(0, |disk| size_of_val(&**disk));
        let rates = self.rates.as_ref().map_or(0, |rates| size_of_val(&**rates));
        size_of_val(&*self.cpu) + size_of_val(&*self.memory) + disk + rates
    }

    /// The newest slot that was put.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Takes what is known of a slot, unless it is too old or known already; whether it was new.
    pub fn put(&mut self, slot: u64, point: &Point) -> bool {
        if point.is_empty() || slot.saturating_add(SLOTS_HELD as u64) <= self.newest {
            return false;
        }
        if slot > self.newest {
            let skipped = (slot - self.newest).min(SLOTS_HELD as u64);
            for gap in slot + 1 - skipped..=slot {
                self.clear(gap);
            }
            self.newest = slot;
        }
        if self.get(slot).is_some() {
            return false;
        }
        let at = place(slot);
        if let Some(cpu) = point.cpu {
            self.cpu[at] = [cpu.min, cpu.avg, cpu.max].map(f16::from_f32);
        }
        self.memory[at] = point.memory.unwrap_or(f32::NAN);
        if let Some(free) = point.disk {
            self.disk.get_or_insert_with(|| vec![f32::NAN; SLOTS_HELD].into())[at] = free;
        }
        if point.network.is_some() || point.disk_io.is_some() {
            let [received, sent] = point.network.unwrap_or([f32::NAN; 2]);
            let [read, written] = point.disk_io.unwrap_or([f32::NAN; 2]);
            let rates = self.rates.get_or_insert_with(|| vec![[bf16::NAN; 4]; SLOTS_HELD].into());
            rates[at] = [received, sent, read, written].map(bf16::from_f32);
        }
        true
    }

    /// What is known of a slot.
    pub fn get(&self, slot: u64) -> Option<Point> {
        if slot > self.newest || slot.saturating_add(SLOTS_HELD as u64) <= self.newest {
            return None;
        }
        let at = place(slot);
        let [min, avg, max] = self.cpu[at].map(f16::to_f32);
        let known = |value: f32| (!value.is_nan()).then_some(value);
        let rates = self.rates.as_ref().map_or([bf16::NAN; 4], |rates| rates[at]);
        let [received, sent, read, written] = rates.map(|rate| known(rate.to_f32()));
        let point = Point {
            cpu: known(avg).map(|avg| Range { min, avg, max }),
            memory: known(self.memory[at]),
            disk: self.disk.as_ref().and_then(|disk| known(disk[at])),
            network: received.zip(sent).map(Into::into),
            disk_io: read.zip(written).map(Into::into),
        };
        (!point.is_empty()).then_some(point)
    }

    fn clear(&mut self, slot: u64) {
        let at = place(slot);
        self.cpu[at] = [f16::NAN; 3];
        self.memory[at] = f32::NAN;
        if let Some(disk) = &mut self.disk {
            disk[at] = f32::NAN;
        }
        if let Some(rates) = &mut self.rates {
            rates[at] = [bf16::NAN; 4];
        }
    }
}

/// A slot's place in the ring.
#[expect(clippy::cast_possible_truncation, reason = "less than the ring's length")]
fn place(slot: u64) -> usize {
    (slot % SLOTS_HELD as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(value: u16) -> Point {
        let value = f32::from(value);
        Point {
            cpu: Some(Range { min: value, avg: value, max: value }),
            memory: Some(value),
            disk: None,
            // Powers of two, which are the same in every precision; sometimes one of them is not known.
            network: (value < 1_500.0).then_some([value.log2().floor().exp2(), 0.0]),
            disk_io: (value > 500.0).then_some([1024.0, value.log2().floor().exp2()]),
        }
    }

    proptest! {
        /// The ring holds exactly what a map of the last slots would: nothing of an earlier lap shows in a gap, a slot
        /// is never overwritten, and jumps of the clock in either direction do no harm.
        #[test]
        fn it_is_a_map_of_the_last_slots(
            start in 0u64..100_000,
            steps in prop::collection::vec((-500i64..500, 0u16..2_000), 1..300),
        ) {
            let mut hour = Hour::new(start);
            let mut expected = std::collections::BTreeMap::new();
            let (mut slot, mut newest) = (start, start);
            for (step, value) in steps {
                slot = slot.saturating_add_signed(step);
                let fits = slot + SLOTS_HELD as u64 > newest;
                newest = newest.max(slot);
                expected.retain(|slot, _| slot + SLOTS_HELD as u64 > newest);
                let is_new = fits && !expected.contains_key(&slot);
                prop_assert_eq!(hour.put(slot, &point(value)), is_new);
                if is_new {
                    expected.insert(slot, point(value));
                }
            }
            for slot in newest.saturating_sub(2 * SLOTS_HELD as u64)..=newest + 2 {
                prop_assert_eq!(hour.get(slot), expected.get(&slot).copied(), "slot {}", slot);
            }
        }
    }

    /// 1,000 devices and 10,000 containers must fit: less than 80 MB.
    #[test]
    fn a_large_fleet_fits_into_memory() {
        let mut device = Hour::new(1);
        device.put(1, &Point { disk: Some(1.0), ..point(1) });
        let mut container = Hour::new(1);
        assert_eq!(container.bytes(), 3_900, "without rates");
        container.put(1, &point(1));
        assert_eq!((container.bytes(), device.bytes()), (7_020, 8_580));
        assert!(10_000 * container.bytes() + 1_000 * device.bytes() < 80_000_000);
    }
}
