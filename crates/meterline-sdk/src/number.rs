use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
};

/// A measured value, in the number type of its instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// From a `u64` instrument.
    U64(u64),
    /// From an `i64` instrument.
    I64(i64),
    /// From an `f64` instrument.
    F64(f64),
}

impl Number {
    /// The value as a float; integers beyond 2^53 are rounded to the nearest one.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "documented rounding")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::U64(value) => value as f64,
            Self::I64(value) => value as f64,
            Self::F64(value) => value,
        }
    }

    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::U64(value) => value,
            Self::I64(value) => value.cast_unsigned(),
            Self::F64(value) => value.to_bits(),
        }
    }

    /// The sum; integers wrap, and numbers of different types have none, which leaves this one as it is.
    pub(crate) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::U64(a), Self::U64(b)) => Self::U64(a.wrapping_add(b)),
            (Self::I64(a), Self::I64(b)) => Self::I64(a.wrapping_add(b)),
            (Self::F64(a), Self::F64(b)) => Self::F64(a + b),
            _ => self,
        }
    }

    /// Whether this is the smaller of two numbers of one type.
    pub(crate) fn is_below(self, other: Self) -> bool {
        match (self, other) {
            (Self::U64(a), Self::U64(b)) => a < b,
            (Self::I64(a), Self::I64(b)) => a < b,
            (Self::F64(a), Self::F64(b)) => a < b,
            _ => false,
        }
    }

    /// This or the other one of the same type, whichever is larger.
    pub(crate) fn at_least(self, other: Self) -> Self {
        if self.is_below(other) { other } else { self }
    }

    /// The difference; integers wrap, as sums of them do. Numbers of different types have none,
    /// which leaves this one as it is.
    pub(crate) fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::U64(a), Self::U64(b)) => Self::U64(a.wrapping_sub(b)),
            (Self::I64(a), Self::I64(b)) => Self::I64(a.wrapping_sub(b)),
            (Self::F64(a), Self::F64(b)) => Self::F64(a - b),
            _ => self,
        }
    }
}

/// The number type of an instrument; with it, bits read from a cell become a [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NumberKind {
    U64,
    I64,
    F64,
}

impl NumberKind {
    pub(crate) fn number(self, bits: u64) -> Number {
        match self {
            Self::U64 => Number::U64(u64::from_bits(bits)),
            Self::I64 => Number::I64(i64::from_bits(bits)),
            Self::F64 => Number::F64(f64::from_bits(bits)),
        }
    }
}

/// A number type of the API. Cells hold any of them as 64 bits, so that one implementation of
/// each aggregation serves all three.
pub(crate) trait Measure: Copy + PartialOrd + Send + Sync + 'static {
    const KIND: NumberKind;
    const ZERO: Self;
    /// Below every other value.
    const LOWEST: Self;
    /// Above every other value.
    const HIGHEST: Self;

    fn from_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
    fn as_f64(self) -> f64;
    /// The sum; integers wrap, as in the official SDK.
    fn plus(self, other: Self) -> Self;
    fn is_finite(self) -> bool;
    /// The value, if `number` is of this type; else zero.
    fn from_number(number: Number) -> Self;
    /// Adds to a total, in one step that others see either all or nothing of.
    fn add_to(self, total: &AtomicU64);
}

macro_rules! measure_integer {
    ($integer:ty, $kind:ident, $from_bits:expr, $bits:expr) => {
        impl Measure for $integer {
            const KIND: NumberKind = NumberKind::$kind;
            const ZERO: Self = 0;
            const LOWEST: Self = Self::MIN;
            const HIGHEST: Self = Self::MAX;

            fn from_bits(bits: u64) -> Self {
                $from_bits(bits)
            }

            fn bits(self) -> u64 {
                $bits(self)
            }

            #[allow(clippy::cast_precision_loss, reason = "buckets are compared as floats")]
            fn as_f64(self) -> f64 {
                self as f64
            }

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn is_finite(self) -> bool {
                true
            }

            fn from_number(number: Number) -> Self {
                if let Number::$kind(value) = number {
                    value
                } else {
                    Self::ZERO
                }
            }

            #[inline]
            fn add_to(self, total: &AtomicU64) {
                total.fetch_add(self.bits(), Release);
            }
        }
    };
}

measure_integer!(u64, U64, std::convert::identity, std::convert::identity);
measure_integer!(i64, I64, u64::cast_signed, i64::cast_unsigned);

impl Measure for f64 {
    const KIND: NumberKind = NumberKind::F64;
    const ZERO: Self = 0.0;
    const LOWEST: Self = Self::NEG_INFINITY;
    const HIGHEST: Self = Self::INFINITY;

    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }

    fn bits(self) -> u64 {
        self.to_bits()
    }

    fn as_f64(self) -> f64 {
        self
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }

    fn from_number(number: Number) -> Self {
        if let Number::F64(value) = number {
            value
        } else {
            Self::ZERO
        }
    }

    #[inline]
    fn add_to(self, total: &AtomicU64) {
        let mut seen = total.load(Relaxed);
        loop {
            let next = self.plus(Self::from_bits(seen)).bits();
            match total.compare_exchange_weak(seen, next, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}
