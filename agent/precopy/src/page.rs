//! A page and its name.

/// Bytes of a page, here and in CRIU's images, on all machines that we know (x86-64, ARMv7, ARM64 as Debian builds it).
pub const PAGE: usize = 4096;

static ZERO: [u8; PAGE] = [0; PAGE];

/// A page's name: BLAKE3 of its content. 256 bits, so that nobody finds a second page for a name.
pub type PageHash = [u8; 32];

/// Names a page.
pub fn hash(page: &[u8]) -> PageHash {
    *blake3::hash(page).as_bytes()
}

/// Whether it holds nothing; such pages never travel.
pub fn is_zero(page: &[u8]) -> bool {
    page == ZERO
}
