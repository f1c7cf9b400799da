#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|headers: &[u8]| meterline_fuzz::negotiation::negotiate(headers));
