#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../1-wire/headers/tests/wire/exercise/translate.rs"]
mod translate;

fuzz_target!(|input: &[u8]| translate::exercise(input));
