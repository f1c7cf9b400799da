//! From a value to its exponential bucket (OpenTelemetry metrics data model, "Exponential Buckets"):
//! bucket `i` at scale `s` holds the values in (2^(i/2^s), 2^((i+1)/2^s)].
//!
//! Up to scale 7 integers decide, exactly: a table of where the 128 buckets of an octave end. A
//! coarser bucket is a shift away. Only finer ones, which so few values share that their histogram
//! spans little more than an octave, take a logarithm, and then only within what the table says.

/// The scale of the table.
const SCALE: i8 = 7;
const BUCKETS: usize = 1 << SCALE;

const SIGNIFICAND_BITS: u32 = 52;
const SIGNIFICAND: u64 = (1 << SIGNIFICAND_BITS) - 1;
const BIAS: i32 = 1023;

/// So many parts of an octave that none has two boundaries in it.
const PARTS: usize = 256;
const PART_SHIFT: u32 = SIGNIFICAND_BITS - PARTS.ilog2();

/// The least significand above 2^(k/128), for each k; above all of them a bound that nothing reaches.
static ABOVE: [u64; BUCKETS + 1] = above();
/// How many of those the first significand of a part has reached.
static REACHED: [u8; PARTS] = reached();

/// The bucket of a value, which is finite and above zero, at a scale from -11 to 20.
pub(super) fn of(value: f64, scale: i8) -> i32 {
    let bits = value.to_bits();
    let (exponent, significand) = match (bits >> SIGNIFICAND_BITS) as i32 {
        0 => normalised(bits),
        biased => (biased - BIAS, bits & SIGNIFICAND),
    };
    // How many boundaries of its octave the value is above: none of them if it is a power of two,
    // which is the end of the last bucket of the octave below.
    let before = REACHED[(significand >> PART_SHIFT) as usize];
    let passed = i32::from(before) + i32::from(significand >= ABOVE[usize::from(before)]);
    let index = (exponent << SCALE) + passed - 1;
    match scale {
        ..=SCALE => index >> (SCALE - scale),
        _ => finer(index, significand, scale),
    }
}

/// Exponent and significand of a subnormal, as if there were no least exponent.
#[cold]
fn normalised(bits: u64) -> (i32, u64) {
    let shift = bits.leading_zeros() - (u64::BITS - SIGNIFICAND_BITS - 1);
    (1 - BIAS - shift.cast_signed(), bits << shift & SIGNIFICAND)
}

/// The bucket at a scale above the table's, within the table's bucket.
fn finer(coarse: i32, significand: u64, scale: i8) -> i32 {
    let shift = scale - SCALE;
    let (first, last) = (coarse << shift, ((coarse + 1) << shift) - 1);
    if significand == 0 {
        return last;
    }
    let fraction = f64::from_bits((BIAS as u64) << SIGNIFICAND_BITS | significand).log2();
    let within = (fraction * f64::from(1u32 << scale)).ceil() as i32 - 1;
    let octave = coarse >> SCALE << scale;
    (octave + within).clamp(first, last)
}

const fn above() -> [u64; BUCKETS + 1] {
    // 2^(1/2), 2^(1/4), ... with 63 bits behind the point.
    let mut roots = [0u64; SCALE as usize + 1];
    let mut square = 1u128 << 127;
    let mut i = 1;
    while i < roots.len() {
        roots[i] = square.isqrt() as u64;
        square = (roots[i] as u128) << 63;
        i += 1;
    }
    let mut above = [u64::MAX; BUCKETS + 1];
    above[0] = 1;
    let mut k = 1;
    while k < BUCKETS {
        let mut power = 1u128 << 63;
        let mut bit = 0;
        while bit < SCALE as usize {
            if k >> bit & 1 == 1 {
                power = (power * roots[SCALE as usize - bit] as u128) >> 63;
            }
            bit += 1;
        }
        above[k] = (power >> (63 - SIGNIFICAND_BITS)) as u64 - (1 << SIGNIFICAND_BITS) + 1;
        k += 1;
    }
    above
}

const fn reached() -> [u8; PARTS] {
    let above = above();
    let mut reached = [0; PARTS];
    let (mut part, mut k) = (0, 0);
    while part < PARTS {
        while above[k] <= (part as u64) << PART_SHIFT {
            k += 1;
        }
        reached[part] = k as u8;
        part += 1;
    }
    reached
}

#[cfg(test)]
mod tests;
