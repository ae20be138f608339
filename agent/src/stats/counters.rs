//! The kernel's counters of bytes, as its files show them. No I/O.

/// Bytes in two directions: received and sent, or read and written.
pub(super) type Moved = [u64; 2];

/// What the kernel calls a sector in its counters, whatever the disk's own is.
const SECTOR: u64 = 512;

/// Both sums; a counter that is nonsense must not end the agent.
pub(super) fn sum(moved: impl Iterator<Item = Moved>) -> Moved {
    moved.fold([0, 0], |sum, more| [sum[0].saturating_add(more[0]), sum[1].saturating_add(more[1])])
}

/// The interfaces of `net/dev` (proc_pid_net(5)) but the loopback, with the bytes received and sent.
pub(super) fn interfaces(text: &str) -> impl Iterator<Item = (&str, Moved)> {
    text.lines().filter_map(|line| {
        let (name, counters) = line.split_once(':')?;
        let mut counters = counters.split_ascii_whitespace();
        let received = counters.next()?.parse().ok()?;
        let sent = counters.nth(7)?.parse().ok()?;
        Some((name.trim(), [received, sent])).filter(|(name, _)| *name != "lo")
    })
}

/// The disks and partitions of `/proc/diskstats` (proc_diskstats(5)) with the bytes read and written.
pub(super) fn disks(text: &str) -> impl Iterator<Item = (&str, Moved)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let name = fields.next()?;
        let read: u64 = fields.nth(2)?.parse().ok()?;
        let written: u64 = fields.nth(3)?.parse().ok()?;
        Some((name, [read.saturating_mul(SECTOR), written.saturating_mul(SECTOR)]))
    })
}

/// `io.stat` of version 2: a line for each disk with `rbytes=` and `wbytes=`.
pub(super) fn io_stat(text: &str) -> Moved {
    let of = |line: &str, key: &str| {
        let field = line.split_ascii_whitespace().find_map(|field| field.strip_prefix(key));
        field.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    sum(text.lines().map(|line| [of(line, "rbytes="), of(line, "wbytes=")]))
}

/// `blkio.*io_service_bytes*` of version 1: lines of disk, kind and bytes; the rest are sums and other kinds.
pub(super) fn blkio(text: &str) -> Moved {
    sum(text.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (kind, bytes) = (fields.next()?, fields.next()?.parse().ok()?);
        match kind {
            "Read" => Some([bytes, 0]),
            "Write" => Some([0, bytes]),
            _ => None,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loopback must not count, also not where the kernel leaves no space after the colon.
    #[test]
    fn interfaces_are_read_without_the_loopback() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 900 9 0 0 0 0 0 0 900 9 0 0 0 0 0 0
  eth0:1144779035   43000    0    0    0     0          0         0  3869787   32461    0    0    0     0       0          0
wlan0: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
";
        let found: Vec<_> = interfaces(text).collect();
        assert_eq!(found, [("eth0", [1_144_779_035, 3_869_787]), ("wlan0", [5, 6])]);
    }

    /// Sectors are of 512 bytes here whatever the disk says, and short lines of old kernels are left out.
    #[test]
    fn disks_are_read_in_bytes() {
        let text =
            "   8       0 sda 375 0 13196 24 21250 38331 927904 8772 0 4452 12375 0 0\n 8 1 sda1 1 2 3\n";
        assert_eq!(disks(text).collect::<Vec<_>>(), [("sda", [13_196 * 512, 927_904 * 512])]);
    }

    /// Both versions: all disks together; sums that the kernel adds, and what is discarded, must not count too.
    #[test]
    fn control_groups_are_summed_over_disks() {
        let v2 = "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=999 dios=1\n259:0 rbytes=1 wbytes=2 rios=1 wios=1\n7:1\n";
        assert_eq!(io_stat(v2), [101, 202]);
        assert_eq!(io_stat(""), [0, 0]);
        let v1 =
            "8:0 Read 100\n8:0 Write 200\n8:0 Sync 300\n8:0 Async 0\n8:0 Total 300\n8:16 Read 1\nTotal 301\n";
        assert_eq!(blkio(v1), [101, 200]);
        assert_eq!(blkio("Total 0\n"), [0, 0]);
    }
}
