//! Bytes are calls between clients of a realm; the model of the tests says what must come of them.

#![no_main]

#[path = "../../tests/realm"]
mod realm {
    pub mod rpc_model;
    pub mod world;
}

use libfuzzer_sys::fuzz_target;
use realm::world;

fuzz_target!(|bytes: &[u8]| realm::rpc_model::run_bytes(bytes));
