mod short;

use std::time::{SystemTime, UNIX_EPOCH};

use meterline_sdk::Number;

use short::write_short;

/// Beyond this, shortest round-trip digits are no longer the plain integer.
const EXACT_INTEGERS: f64 = 1e15;

/// Appends `number` so that reading it back gives the same value: integers as integers, floats by
/// their shortest digits, `NaN`, `+Inf` and `-Inf` by the names the text format gives them.
pub(crate) fn write_number(out: &mut Vec<u8>, number: Number) {
    let magnitude = match number {
        Number::U64(value) => value,
        // Negative ones become too large to be short.
        Number::I64(value) => value.cast_unsigned(),
        Number::F64(value) => return write_float(out, value),
    };
    if !write_short(out, magnitude) {
        write_long(out, number);
    }
}

#[inline(never)]
fn write_long(out: &mut Vec<u8>, number: Number) {
    let mut integer = itoa::Buffer::new();
    let text = match number {
        Number::U64(value) => integer.format(value),
        Number::I64(value) => integer.format(value),
        Number::F64(value) => return write_float(out, value),
    };
    out.extend_from_slice(text.as_bytes());
}

/// As [`write_number`], for a float.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    match non_finite(value) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => out.extend_from_slice(finite(value, &mut Digits::default()).as_bytes()),
    }
}

/// Appends seconds since the Unix epoch, as many digits of the fraction as there are; a time before
/// it is 0.
pub(crate) fn write_time(out: &mut Vec<u8>, time: SystemTime) {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(since_epoch.as_secs()).as_bytes());
    let nanos = since_epoch.subsec_nanos();
    if nanos > 0 {
        // A one in front keeps the zeros.
        let fraction = digits.format(1_000_000_000 + nanos);
        out.push(b'.');
        out.extend_from_slice(fraction[1..].trim_end_matches('0').as_bytes());
    }
}

/// `NaN`, `+Inf` or `-Inf`, as Prometheus names them; `None` for every other number.
pub(crate) fn non_finite(value: f64) -> Option<&'static str> {
    match value {
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ if value.is_nan() => Some("NaN"),
        _ => None,
    }
}

/// Room for the digits of one number.
#[derive(Default)]
pub(crate) struct Digits {
    integer: itoa::Buffer,
    float: zmij::Buffer,
}

/// The shortest digits that read back as `value`, which must be finite; also a valid JSON number.
#[allow(
    clippy::cast_possible_truncation,
    reason = "only whole numbers far inside the range of an i64"
)]
pub(crate) fn finite(value: f64, digits: &mut Digits) -> &str {
    if value == 0.0 && value.is_sign_negative() {
        // As an integer, which some readers take `-0` for, it would lose its sign.
        return "-0.0";
    }
    if value.trunc() == value && value.abs() < EXACT_INTEGERS {
        return digits.integer.format(value as i64);
    }
    let text = digits.float.format_finite(value);
    text.strip_suffix(".0").unwrap_or(text)
}

/// A bucket bound as Prometheus' Go library writes it in `le`: like C's `%g` with the fewest digits
/// that read back the same, so `1`, `0.005`, `1e+06`. Equal bounds must give equal text across
/// programs, or their histograms cannot be summed.
pub(crate) fn bucket_bound(bound: f64) -> String {
    if let Some(name) = non_finite(bound) {
        return name.to_owned();
    }
    let scientific = format!("{bound:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..6 => format!("{bound}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(number: Number) -> String {
        let mut out = Vec::new();
        write_number(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_as_prometheus_reads_them() {
        for (number, text) in [
            (Number::U64(u64::MAX), "18446744073709551615"),
            (Number::I64(i64::MIN), "-9223372036854775808"),
            (Number::F64(0.0), "0"),
            (Number::F64(-0.0), "-0.0"),
            (Number::F64(3.0), "3"),
            (Number::F64(0.1), "0.1"),
            (Number::F64(-2.5), "-2.5"),
            (Number::F64(1e14), "100000000000000"),
            (Number::F64(f64::NAN), "NaN"),
            (Number::F64(f64::INFINITY), "+Inf"),
            (Number::F64(f64::NEG_INFINITY), "-Inf"),
        ] {
            assert_eq!(written(number), text);
        }
    }

    #[test]
    fn times_to_the_nanosecond() {
        use std::time::Duration;
        for (time, text) in [
            (UNIX_EPOCH, "0"),
            (UNIX_EPOCH - Duration::from_secs(5), "0"),
            (
                UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                "1700000000",
            ),
            (UNIX_EPOCH + Duration::from_millis(1_500), "1.5"),
            (
                UNIX_EPOCH + Duration::from_nanos(2_000_000_001),
                "2.000000001",
            ),
        ] {
            let mut out = Vec::new();
            write_time(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn bounds_as_the_go_library_writes_them() {
        for (bound, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.5e-7, "2.5e-07"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(bucket_bound(bound), text);
        }
    }

    proptest! {
        #[test]
        fn every_float_reads_back_the_same(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = written(Number::F64(value));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text);
            let bound = bucket_bound(value);
            prop_assert_eq!(bound.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", bound);
        }
    }
}
