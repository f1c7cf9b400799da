//! One series of one instrument, bound or with its attributes kept ready.
//!
//! Under an SDK that does not implement binding the API's `bind` is a silent no-op, hence the two ways: the caller
//! says which SDK it has (cargo feature `bound`, `HttpMetricsBuilder::bind`), the rest of the crate does not care.

use opentelemetry::KeyValue;
#[cfg(feature = "bound")]
use opentelemetry::metrics::{BoundCounter, BoundHistogram, BoundUpDownCounter};
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $instrument:ty, $bound:ty, $number:ty, $method:ident) => {
        $(#[$doc])*
        pub(crate) enum $name {
            Attributes($instrument, Box<[KeyValue]>),
            #[cfg(feature = "bound")]
            Bound($bound),
        }

        impl $name {
            /// The series of `attributes`; `bind` asks for a bound one where the crate was built with them.
            pub(crate) fn new(instrument: &$instrument, attributes: Vec<KeyValue>, bind: bool) -> Self {
                #[cfg(feature = "bound")]
                if bind {
                    return Self::Bound(instrument.bind(&attributes));
                }
                #[cfg(not(feature = "bound"))]
                let _ = bind;
                Self::Attributes(instrument.clone(), attributes.into_boxed_slice())
            }

            pub(crate) fn $method(&self, value: $number) {
                match self {
                    Self::Attributes(instrument, attributes) => instrument.$method(value, attributes),
                    #[cfg(feature = "bound")]
                    Self::Bound(bound) => bound.$method(value),
                }
            }
        }
    };
}

handle!(
    /// A series of a counter.
    CounterSeries, Counter<u64>, BoundCounter<u64>, u64, add
);
handle!(
    /// A series of an up-down counter.
    UpDownSeries, UpDownCounter<i64>, BoundUpDownCounter<i64>, i64, add
);
handle!(
    /// A series of a histogram of seconds.
    SecondsSeries, Histogram<f64>, BoundHistogram<f64>, f64, record
);
handle!(
    /// A series of a histogram of bytes.
    BytesSeries, Histogram<u64>, BoundHistogram<u64>, u64, record
);
