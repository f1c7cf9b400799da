use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// A natural number of any size, the lowest digit first.
fn product(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut digits = vec![0; a.len() + b.len()];
    for (i, a) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, b) in b.iter().enumerate() {
            let sum = u64::from(*a) * u64::from(*b) + u64::from(digits[i + j]) + carry;
            digits[i + j] = sum as u32;
            carry = sum >> 32;
        }
        digits[i + b.len()] = carry as u32;
    }
    digits
}

/// Compares (1 + significand / 2^52) with 2^(k/128), exactly: both to the power of 128.
fn against_boundary(significand: u64, k: usize) -> Ordering {
    let whole = significand | 1 << SIGNIFICAND_BITS;
    let mut power = vec![whole as u32, (whole >> 32) as u32];
    for _ in 0..SCALE {
        power = product(&power, &power);
    }
    let bit = k + BUCKETS * SIGNIFICAND_BITS as usize;
    let highest = power.iter().rposition(|digit| *digit != 0).unwrap();
    let length = highest * 32 + power[highest].ilog2() as usize;
    let is_power_of_two =
        power[..highest].iter().all(|digit| *digit == 0) && power[highest].is_power_of_two();
    length.cmp(&bit).then(if is_power_of_two {
        Ordering::Equal
    } else {
        Ordering::Greater
    })
}

#[test]
fn the_table_is_exact() {
    for (k, least) in ABOVE[..BUCKETS].iter().enumerate() {
        assert_eq!(against_boundary(*least, k), Ordering::Greater, "{k}");
        assert_ne!(against_boundary(least - 1, k), Ordering::Greater, "{k}");
    }
}

#[test]
fn no_part_of_an_octave_has_two_boundaries() {
    for part in 0..PARTS as u64 {
        let (first, last) = (part << PART_SHIFT, ((part + 1) << PART_SHIFT) - 1);
        let within = ABOVE.iter().filter(|k| first < **k && **k <= last);
        assert!(within.count() <= 1, "{part}");
    }
}

#[test]
fn a_power_of_two_ends_its_bucket() {
    for scale in -11..=20 {
        for exponent in -1074..=1023 {
            let value = if exponent < -1022 {
                f64::from_bits(1 << (exponent + 1074))
            } else {
                f64::from_bits(((exponent + BIAS) as u64) << SIGNIFICAND_BITS)
            };
            let end = (i64::from(exponent) << 20 >> (20 - scale)) as i32;
            let on_boundary = scale >= 0 || exponent % (1 << -scale) == 0;
            let expected = if on_boundary { end - 1 } else { end };
            assert_eq!(of(value, scale), expected, "2^{exponent} at {scale}");
            if (-1022..1023).contains(&exponent) {
                assert_eq!(
                    of(value.next_up(), scale),
                    end,
                    "above 2^{exponent} at {scale}"
                );
            }
        }
    }
}

#[test]
fn the_ends_of_the_range_have_buckets() {
    assert_eq!(of(f64::MAX, 0), 1023);
    assert_eq!(of(f64::MAX, 20), (1024 << 20) - 1);
    assert_eq!(of(f64::MAX, -10), 0);
    assert_eq!(of(f64::MIN_POSITIVE, -10), -1);
    assert_eq!(of(f64::from_bits(1), 0), -1075);
    assert_eq!(of(f64::from_bits(3), 0), -1073);
    assert_eq!(of(f64::from_bits(1), -11), -1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn coarser_buckets_are_unions_of_finer_ones(bits in 1..f64::INFINITY.to_bits()) {
        let value = f64::from_bits(bits);
        for scale in -10..=20 {
            prop_assert_eq!(of(value, scale) >> 1, of(value, scale - 1), "{} at {}", value, scale);
        }
    }

    #[test]
    fn a_value_lies_within_its_bucket(value in 1e-9..1e9f64, scale in 0..=20i8) {
        let index = of(value, scale);
        let position = value.log2() * f64::from(1u32 << scale);
        // As near as a logarithm can tell.
        prop_assert!(position > f64::from(index) - 1e-7, "{} at {}: {}", value, scale, index);
        prop_assert!(position <= f64::from(index) + 1.0 + 1e-7);
    }
}
