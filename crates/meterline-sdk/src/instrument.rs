//! What an instrument is, as it was asked for: checked, and completed with defaults.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::number::NumberKind;
use crate::snapshot::{Descriptor, InstrumentKind};

/// The boundaries a histogram has if nobody says otherwise (OpenTelemetry metrics SDK,
/// "Explicit Bucket Histogram Aggregation").
const DEFAULT_BOUNDARIES: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

const LONGEST_NAME: usize = 255;
const LONGEST_UNIT: usize = 63;

/// An instrument that may be created.
#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) number: NumberKind,
    pub(crate) aggregation: Aggregation,
}

/// How an instrument's measurements become a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Aggregation {
    Sum { monotonic: bool },
    LastValue,
    Histogram { bounds: Arc<[f64]> },
}

/// What the API was asked for, unchecked.
pub(crate) struct Request {
    pub(crate) name: Cow<'static, str>,
    pub(crate) description: Option<Cow<'static, str>>,
    pub(crate) unit: Option<Cow<'static, str>>,
    pub(crate) kind: InstrumentKind,
    pub(crate) number: NumberKind,
    pub(crate) boundaries: Option<Vec<f64>>,
}

/// Why an instrument is refused; it then records nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error(
        "an instrument name begins with a letter, has at most {LONGEST_NAME} characters, and only \
         letters, digits, '_', '.', '-' and '/'"
    )]
    Name,
    #[error("a unit has at most {LONGEST_UNIT} ASCII characters")]
    Unit,
    #[error("bucket boundaries are finite and strictly increasing")]
    Boundaries,
}

impl TryFrom<Request> for Instrument {
    type Error = Invalid;

    /// Follows the OpenTelemetry metrics API, "Instrument name syntax" and "Instrument unit".
    fn try_from(request: Request) -> Result<Self, Invalid> {
        if !is_valid_name(&request.name) {
            return Err(Invalid::Name);
        }
        let unit = request.unit.unwrap_or_default();
        if !unit.is_ascii() || unit.len() > LONGEST_UNIT {
            return Err(Invalid::Unit);
        }
        let aggregation = match request.kind {
            InstrumentKind::Counter | InstrumentKind::ObservableCounter => {
                Aggregation::Sum { monotonic: true }
            }
            InstrumentKind::UpDownCounter | InstrumentKind::ObservableUpDownCounter => {
                Aggregation::Sum { monotonic: false }
            }
            InstrumentKind::Gauge | InstrumentKind::ObservableGauge => Aggregation::LastValue,
            InstrumentKind::Histogram => {
                let bounds = request
                    .boundaries
                    .unwrap_or_else(|| DEFAULT_BOUNDARIES.to_vec());
                if !are_valid_boundaries(&bounds) {
                    return Err(Invalid::Boundaries);
                }
                Aggregation::Histogram {
                    bounds: bounds.into(),
                }
            }
        };
        let descriptor = Descriptor {
            name: request.name,
            kind: request.kind,
            unit,
            description: request.description.unwrap_or_default(),
        };
        Ok(Self {
            descriptor: Arc::new(descriptor),
            number: request.number,
            aggregation,
        })
    }
}

impl Instrument {
    /// Whether both are the same instrument. Names differ by more than case; the description and
    /// the boundaries are advice, not identity.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.has_name_of(other)
            && self.descriptor.kind == other.descriptor.kind
            && self.descriptor.unit == other.descriptor.unit
            && self.number == other.number
    }

    /// The order of instruments in a snapshot.
    pub(crate) fn in_order(&self, other: &Self) -> Ordering {
        self.descriptor
            .cmp(&other.descriptor)
            .then_with(|| self.number.cmp(&other.number))
    }

    pub(crate) fn is_gauge(&self) -> bool {
        self.aggregation == Aggregation::LastValue
    }

    pub(crate) fn has_name_of(&self, other: &Self) -> bool {
        self.descriptor
            .name
            .eq_ignore_ascii_case(&other.descriptor.name)
    }
}

fn is_valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(allowed)
}

fn are_valid_boundaries(bounds: &[f64]) -> bool {
    bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(name: &'static str, unit: &'static str, bounds: &[f64]) -> Result<(), Invalid> {
        let request = Request {
            name: name.into(),
            description: None,
            unit: Some(unit.into()),
            kind: InstrumentKind::Histogram,
            number: NumberKind::F64,
            boundaries: Some(bounds.to_vec()),
        };
        Instrument::try_from(request).map(drop)
    }

    #[test]
    fn names_follow_the_specification() {
        for valid in ["a", "A9", "http.server.request/duration-x_y"] {
            assert_eq!(histogram(valid, "s", &[]), Ok(()), "{valid}");
        }
        let long: &'static str = "a".repeat(256).leak();
        assert_eq!(histogram(&long[1..], "s", &[]), Ok(()));
        for invalid in ["", "1a", "_a", ".a", "a b", "ä", "a\n", "a{}", long] {
            assert_eq!(
                histogram(invalid, "s", &[]),
                Err(Invalid::Name),
                "{invalid}"
            );
        }
    }

    #[test]
    fn units_are_short_and_ascii() {
        let long: &'static str = "x".repeat(64).leak();
        assert_eq!(histogram("a", &long[1..], &[]), Ok(()));
        assert_eq!(histogram("a", long, &[]), Err(Invalid::Unit));
        assert_eq!(histogram("a", "µs", &[]), Err(Invalid::Unit));
    }

    #[test]
    fn boundaries_are_finite_and_increase() {
        assert_eq!(histogram("a", "", &[-1.0, 0.0, 2.5]), Ok(()));
        for invalid in [
            &[1.0, 1.0][..],
            &[2.0, 1.0],
            &[f64::NAN],
            &[1.0, f64::INFINITY],
        ] {
            assert_eq!(
                histogram("a", "", invalid),
                Err(Invalid::Boundaries),
                "{invalid:?}"
            );
        }
    }
}
