//! Counts tests in what test runners print, line by line, as it goes by.

use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The counts of a line that sums up: `test result: ok. 3 passed; 0 failed; …` (Rust's test harness),
/// `Tests  1 failed | 3 passed (4)` (Vitest), or `ℹ pass 3` and `ℹ fail 1` (Node's). Every other line counts nothing.
pub(super) fn tally(line: &str) -> Tally {
    let line = line.trim();
    if let Some((kind, number)) = line.strip_prefix("ℹ ").and_then(|rest| rest.split_once(' ')) {
        let number = number.parse().unwrap_or(0);
        return match kind {
            "pass" => Tally { passed: number, failed: 0 },
            "fail" | "cancelled" => Tally { passed: 0, failed: number },
            _ => Tally::default(),
        };
    }
    let Some(counts) = line.strip_prefix("test result: ").or_else(|| line.strip_prefix("Tests  ")) else {
        return Tally::default();
    };
    Tally { passed: count(counts, "passed"), failed: count(counts, "failed") }
}

/// The number before a word; 0 when the word is not there.
fn count(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text.split([' ', ';', '.', '|']).filter(|word| !word.is_empty()).collect();
    let number =
        words.iter().position(|found| *found == word).and_then(|place| words.get(place.wrapping_sub(1)));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The closing line of a whole run is only as true as this.
    #[test]
    fn reads_the_summaries_of_all_runners() {
        for (line, passed, failed) in [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
                12,
                0,
            ),
            ("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", 3, 2),
            ("      Tests  41 passed (41)", 41, 0),
            ("      Tests  1 failed | 40 passed (41)", 40, 1),
            ("      Tests  2 failed (2)", 0, 2),
            ("ℹ pass 7", 7, 0),
            ("ℹ fail 2", 0, 2),
            ("ℹ cancelled 1", 0, 1),
        ] {
            assert_eq!(tally(line), Tally { passed, failed }, "{line}");
        }
    }

    /// Vitest also counts files, and a test may print anything.
    #[test]
    fn counts_nothing_else() {
        for line in [
            " Test Files  2 passed (2)",
            "ℹ tests 9",
            "ℹ duration_ms 12.5",
            "test proto::roundtrip ... ok",
            "5 passed",
            "failed",
        ] {
            assert_eq!(tally(line), Tally::default(), "{line}");
        }
    }
}
