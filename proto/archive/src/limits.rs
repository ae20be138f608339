//! How much an archive may be.

/// What an archive may not go beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all that is in it, unpacked; those of an image's compressed layers too.
    pub unpacked_bytes: u64,
    /// How many times larger than the upload it may become, from [`Self::ratio_from_bytes`] on.
    pub ratio: u64,
    /// A smaller archive may be packed as well as it likes: it can do no harm.
    pub ratio_from_bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of one path or of one link's target.
    pub path_bytes: usize,
    /// Bytes of all paths and targets: they are kept in memory until the end.
    pub names_bytes: usize,
}

impl Default for Limits {
    /// What the disk and the memory of a small device can bear.
    fn default() -> Self {
        Self {
            // Four times the largest upload.
            unpacked_bytes: 16 << 30,
            // Logs and tables pack to a hundredth; a bomb to a thousandth and less.
            ratio: 200,
            ratio_from_bytes: 64 << 20,
            // A large tree of Node packages has half as many.
            entries: 200_000,
            // A quarter of what Linux takes: an engine adds its own folders in front.
            path_bytes: 1024,
            names_bytes: 32 << 20,
        }
    }
}
