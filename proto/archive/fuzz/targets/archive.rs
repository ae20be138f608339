//! Any bytes are an archive or are refused; what is written of one is an archive again, that nothing can be said against.

#![no_main]

use std::io::{Cursor, sink};

use ecep_archive::{Dockerfile, Limits, bundle, image, inspect, overlay, texts};
use libfuzzer_sys::fuzz_target;
use tar::Header;

/// Few bytes reach them.
const LIMITS: Limits = Limits {
    unpacked_bytes: 1 << 20,
    ratio: 200,
    ratio_from_bytes: 1 << 16,
    entries: 8,
    path_bytes: 300,
    names_bytes: 1000,
};

fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    // Chance does not find a checksum.
    let mut sealed = bytes.to_vec();
    sealed.resize(bytes.len().next_multiple_of(512), 0);
    for block in sealed.chunks_exact_mut(512) {
        let mut header = Header::from_byte_slice(block).clone();
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
    sealed.resize(sealed.len() + 1024, 0);
    judge(&sealed);
});

fn judge(bytes: &[u8]) {
    if let Ok(inspection) = inspect(bytes, &LIMITS) {
        assert!(inspection.unpacked_bytes <= LIMITS.unpacked_bytes && inspection.entries <= LIMITS.entries);
        overlay(Cursor::new(bytes), sink(), &LIMITS, "base", "/app", None)
            .expect("what was inspected is good");
    }
    let wide = Limits::default();
    let mut context = Vec::new();
    if bundle(Cursor::new(bytes), &mut context, &LIMITS).is_ok() {
        overlay(Cursor::new(context), sink(), &wide, "base", "/app", None).expect("own contexts are good");
    }
    if let Ok([Some(text)]) = texts(bytes, [("Dockerfile", 1000)], &LIMITS) {
        let _ = Dockerfile::read(&text, None);
    }
    let mut own = Vec::new();
    if image(bytes, &mut own, &LIMITS, "a:1").is_ok() {
        inspect(own.as_slice(), &wide).expect("own images are good");
    }
}
