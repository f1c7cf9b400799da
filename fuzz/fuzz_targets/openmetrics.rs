#![no_main]

use libfuzzer_sys::fuzz_target;
use meterline_exposition::parse::Syntax;
use meterline_fuzz::read;

fuzz_target!(|page: &[u8]| read(page, Syntax::OpenMetrics));
