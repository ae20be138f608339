//! Bytes that stand for what a fuzzer would send: the same ones in every run.

/// So many histories of so many bytes each.
const HISTORIES: (usize, usize) = (50, 1000);

/// Runs each of them.
pub fn run_each(run: impl Fn(&[u8])) {
    let mut state = 7_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let (histories, length) = HISTORIES;
    for _ in 0..histories {
        let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
        run(&bytes);
    }
}
