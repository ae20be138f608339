//! A table of counters of which some rows count: which is asked only when the table has other rows than before. No I/O.

use std::time::Duration;

use super::{
    counters::{Moved, sum},
    meter::RateMeter,
};

/// What was seen of the table, and what counts of it.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: Vec<String>,
    counted: Vec<String>,
    meter: RateMeter,
}

impl Table {
    /// Bytes per second of the rows that `choose` takes of all names; none where it takes none. If it takes others than
    /// before, their past is not theirs alone: everything counts anew.
    pub(super) fn sample<'a>(
        &mut self,
        at: Duration,
        rows: &[(&'a str, Moved)],
        choose: impl FnOnce(&[&'a str]) -> Vec<&'a str>,
    ) -> Option<[u64; 2]> {
        let names = || rows.iter().map(|(name, _)| *name);
        if !names().eq(&self.names) {
            let all: Vec<&str> = names().collect();
            let counted = choose(&all);
            if !counted.iter().eq(&self.counted) {
                self.meter = RateMeter::default();
                self.counted = counted.into_iter().map(str::to_owned).collect();
            }
            self.names = all.into_iter().map(str::to_owned).collect();
        }
        let counts = |name: &str| self.counted.iter().any(|counted| counted == name);
        let moved = sum(rows.iter().filter(|(name, _)| counts(name)).map(|(_, moved)| *moved));
        self.meter.sample(at, (!self.counted.is_empty()).then_some(moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// What comes and goes beside the rows that count disturbs nothing and costs one question each time; an interface
    /// that vanishes, or comes with a past of its own, makes neither a negative nor a huge rate.
    #[test]
    fn other_rows_are_a_new_baseline() {
        let mut table = Table::default();
        let mut asked = 0;
        let mut at = 0;
        let mut sample = |rows: &[(&str, Moved)]| {
            at += 1;
            let choose = |all: &[&'static str]| {
                asked += 1;
                all.iter().copied().filter(|name| !name.starts_with("veth")).collect()
            };
            // The names outlive the call, as those of a text do.
            let rows: Vec<(&'static str, Moved)> = rows
                .iter()
                .map(|(name, moved)| {
                    (["eth0", "usb0", "veth1"].into_iter().find(|one| one == name).unwrap(), *moved)
                })
                .collect();
            table.sample(second(at), &rows, choose)
        };
        assert_eq!(sample(&[("eth0", [100, 10])]), None);
        assert_eq!(sample(&[("eth0", [150, 20])]), Some([50, 10]));
        assert_eq!(sample(&[("eth0", [150, 20]), ("veth1", [1_000_000, 1_000_000])]), Some([0, 0]));
        assert_eq!(sample(&[("eth0", [151, 22])]), Some([1, 2]));
        assert_eq!(
            sample(&[("eth0", [151, 22]), ("usb0", [1 << 40, 1 << 40])]),
            None,
            "its past is not of now"
        );
        assert_eq!(sample(&[("eth0", [152, 22]), ("usb0", [1 << 40, 1 + (1 << 40)])]), Some([1, 1]));
        assert_eq!(sample(&[("eth0", [500, 500])]), None, "one is gone");
        assert_eq!(sample(&[("eth0", [503, 500])]), Some([3, 0]));
        assert_eq!(sample(&[("veth1", [5, 5])]), None);
        assert_eq!(sample(&[]), None);
        assert_eq!(sample(&[("eth0", [9, 9])]), None);
        assert_eq!(asked, 8);
    }
}
