#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../1-wire/headers/tests/wire/exercise/icmp_error.rs"]
mod icmp_error;

fuzz_target!(|input: &[u8]| icmp_error::exercise(input));
