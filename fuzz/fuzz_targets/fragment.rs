#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../1-wire/headers/tests/wire/exercise/fragment.rs"]
mod fragment;

fuzz_target!(|input: &[u8]| fragment::exercise(input));
