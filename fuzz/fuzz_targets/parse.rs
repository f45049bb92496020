#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../1-wire/headers/tests/wire/exercise/parse.rs"]
mod parse;

fuzz_target!(|input: &[u8]| parse::exercise(input));
