//! Integers of up to eight digits, which most counts are: all digits are worked out at once, in the
//! bytes of one word, and written as one. Most of what a number cost a page was a call to have so few
//! bytes copied.

/// From here on, a number has more than eight digits.
const TOO_LONG: u64 = 100_000_000;

/// Appends the digits of `value` unless there are more than eight; whether it did.
#[inline]
pub(super) fn write_short(out: &mut Vec<u8>, value: u64) -> bool {
    if value >= TOO_LONG {
        return false;
    }
    let digits = digits(value);
    // Leading zeros are the lowest bytes; a zero is one digit.
    let leading = (digits.trailing_zeros() / 8).min(7);
    let text = (digits | 0x3030_3030_3030_3030) >> (8 * leading);
    let end = out.len() + 8 - leading as usize;
    // All eight bytes, as that is a single store.
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(end);
    true
}

/// Eight digits, the first in the lowest byte.
#[inline]
fn digits(value: u64) -> u64 {
    // Each step splits all parts of the word in two, the higher half of each going to the lower bits.
    // Instead of dividing, it multiplies by a reciprocal that is exact for what a part can be.
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_written(value: u64) {
        let mut out = b"x ".to_vec();
        let text = match write_short(&mut out, value) {
            true => format!("x {value}"),
            false => {
                assert!(value.to_string().len() > 8, "{value}");
                "x ".to_owned()
            }
        };
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn digits_and_pairs_and_fours_are_right() {
        // What the steps do to a part does not depend on the others.
        for part in 0..10_000 {
            assert_written(part);
            assert_written(part * 10_000);
            assert_written(part * 10_000 + 9_999 - part);
        }
        for power in (0..20).map(|exponent| 10_u64.pow(exponent)) {
            (power - 1..=power + 1).for_each(assert_written);
        }
        assert_written(u64::MAX);
    }

    proptest! {
        #[test]
        fn any_number_is_right_or_left_alone(value: u64, shift in 0..64_u32) {
            assert_written(value >> shift);
        }
    }
}
