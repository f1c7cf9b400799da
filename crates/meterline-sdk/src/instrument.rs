//! What an instrument is, as it was asked for: checked, and completed with defaults.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::cell::exponential::ExponentialOptions;
use crate::number::NumberKind;
use crate::snapshot::{Descriptor, InstrumentKind};

/// The boundaries a histogram has if nobody says otherwise (OpenTelemetry metrics SDK,
/// "Explicit Bucket Histogram Aggregation").
const DEFAULT_BOUNDARIES: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

pub(crate) const LONGEST_NAME: usize = 255;

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
    Sum {
        monotonic: bool,
    },
    LastValue,
    Histogram {
        bounds: Arc<[f64]>,
    },
    Exponential(ExponentialOptions),
    Both {
        bounds: Arc<[f64]>,
        exponential: ExponentialOptions,
    },
}

impl Aggregation {
    /// The bounds of explicit buckets: its own, or those an instrument has without advice.
    pub(crate) fn bounds(&self) -> Arc<[f64]> {
        match self {
            Self::Histogram { bounds } | Self::Both { bounds, .. } => Arc::clone(bounds),
            _ => DEFAULT_BOUNDARIES.into(),
        }
    }
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
#[error(
    "an instrument name begins with a letter, has at most {LONGEST_NAME} characters, and only \
         letters, digits, '_', '.', '-' and '/'"
)]
pub(crate) struct InvalidName;

impl TryFrom<Request> for Instrument {
    type Error = InvalidName;

    /// Follows the OpenTelemetry metrics API, "Instrument name syntax" and "Instrument unit".
    fn try_from(request: Request) -> Result<Self, InvalidName> {
        if !is_valid_name(&request.name) {
            return Err(InvalidName);
        }
        // Units are not checked: exporters make of them what they can.
        let unit = request.unit.unwrap_or_default();
        let aggregation = match request.kind {
            InstrumentKind::Counter | InstrumentKind::ObservableCounter => {
                Aggregation::Sum { monotonic: true }
            }
            InstrumentKind::UpDownCounter | InstrumentKind::ObservableUpDownCounter => {
                Aggregation::Sum { monotonic: false }
            }
            InstrumentKind::Gauge | InstrumentKind::ObservableGauge => Aggregation::LastValue,
            InstrumentKind::Histogram => {
                let advised = request.boundaries.filter(|bounds| {
                    let valid = are_valid_boundaries(bounds);
                    if !valid {
                        tracing::warn!(
                            name = &*request.name,
                            "boundaries that are not finite and increasing are ignored"
                        );
                    }
                    valid
                });
                let bounds = advised.unwrap_or_else(|| DEFAULT_BOUNDARIES.to_vec());
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

    /// Whether it only takes what adds up: its kind says so, or that it is summed up as if it did.
    #[inline]
    pub(crate) fn refuses_negatives(&self) -> bool {
        self.aggregation == (Aggregation::Sum { monotonic: true })
            || matches!(
                self.descriptor.kind,
                InstrumentKind::Counter | InstrumentKind::ObservableCounter
            )
    }

    pub(crate) fn is_gauge(&self) -> bool {
        self.aggregation == Aggregation::LastValue
    }

    pub(crate) fn has_name_of(&self, other: &Self) -> bool {
        self.is_called(&other.descriptor.name)
    }

    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.descriptor.name.eq_ignore_ascii_case(name)
    }
}

pub(crate) fn is_valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(allowed)
}

pub(crate) fn are_valid_boundaries(bounds: &[f64]) -> bool {
    bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(name: &'static str, bounds: &[f64]) -> Result<Instrument, InvalidName> {
        Instrument::try_from(Request {
            name: name.into(),
            description: None,
            unit: Some("µs, which is no unit of UCUM's ASCII".into()),
            kind: InstrumentKind::Histogram,
            number: NumberKind::F64,
            boundaries: Some(bounds.to_vec()),
        })
    }

    #[test]
    fn names_follow_the_specification() {
        let long: &'static str = "a".repeat(256).leak();
        for valid in ["a", "A9", "http.server.request/duration-x_y", &long[1..]] {
            assert!(histogram(valid, &[]).is_ok(), "{valid}");
        }
        for invalid in ["", "1a", "_a", ".a", "a b", "ä", "a\n", "a{}", long] {
            assert!(histogram(invalid, &[]).is_err(), "{invalid}");
        }
    }

    #[test]
    fn boundaries_that_cannot_be_are_as_if_not_given() {
        let bounds = |given: &[f64]| match histogram("a", given).unwrap().aggregation {
            Aggregation::Histogram { bounds } => bounds.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(bounds(&[-1.0, 0.0, 2.5]), [-1.0, 0.0, 2.5]);
        assert_eq!(bounds(&[]), []);
        for invalid in [
            &[1.0, 1.0][..],
            &[2.0, 1.0],
            &[f64::NAN],
            &[1.0, f64::INFINITY],
        ] {
            assert_eq!(bounds(invalid), DEFAULT_BOUNDARIES, "{invalid:?}");
        }
    }
}
