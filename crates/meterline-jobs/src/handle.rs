//! One series of one instrument, made when it is first recorded into, bound or with its attributes kept ready.
//!
//! Under an SDK that does not implement binding the API's `bind` is a silent no-op, hence the two ways: the caller
//! says which SDK it has (cargo feature `bound`, `InstrumentsBuilder::bind`), the rest of the crate does not care.
//! Made late, because binding a counter brings its series into being, at zero.

#[cfg(feature = "bound")]
use std::sync::OnceLock;

use opentelemetry::KeyValue;
#[cfg(feature = "bound")]
use opentelemetry::metrics::{BoundCounter, BoundHistogram, BoundUpDownCounter};
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $instrument:ty, $bound:ty, $number:ty, $method:ident) => {
        $(#[$doc])*
        pub(crate) struct $name {
            instrument: $instrument,
            attributes: Box<[KeyValue]>,
            #[cfg(feature = "bound")]
            bound: Option<OnceLock<$bound>>,
        }

        impl $name {
            /// The series of `attributes`; `bind` asks for a bound one where the crate was built with them.
            pub(crate) fn new(instrument: &$instrument, attributes: Vec<KeyValue>, bind: bool) -> Self {
                #[cfg(not(feature = "bound"))]
                let _ = bind;
                Self {
                    instrument: instrument.clone(),
                    attributes: attributes.into_boxed_slice(),
                    #[cfg(feature = "bound")]
                    bound: bind.then(OnceLock::new),
                }
            }

            pub(crate) fn $method(&self, value: $number) {
                #[cfg(feature = "bound")]
                if let Some(bound) = &self.bound {
                    return bound
                        .get_or_init(|| self.instrument.bind(&self.attributes))
                        .$method(value);
                }
                self.instrument.$method(value, &self.attributes);
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
