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
}
