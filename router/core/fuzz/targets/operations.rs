//! Bytes are operations of clients on a realm; the model of the tests says what must come of them.

#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/realm"]
mod realm {
    pub mod model;
    pub mod world;
}

use libfuzzer_sys::fuzz_target;
use realm::world;

fuzz_target!(|bytes: &[u8]| realm::model::run_bytes(bytes));
