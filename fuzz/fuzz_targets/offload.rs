#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../1-wire/headers/tests/wire/exercise/offload.rs"]
mod offload;

fuzz_target!(|input: &[u8]| offload::exercise(input));
