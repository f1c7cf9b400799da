#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|names: &[u8]| meterline_fuzz::page::encode(names));
