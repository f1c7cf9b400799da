//! Reservoirs that users bring along (OpenTelemetry metrics SDK, "Custom `ExemplarReservoir`").

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use parking_lot::Mutex;

use super::{Span, left_out};
use crate::snapshot::Exemplar;
use crate::{Attributes, Number};

/// How long a collection waits for a reservoir that is being offered something: much longer than an
/// offer takes, and not so long that one that blocks is felt.
const PATIENCE: Duration = Duration::from_millis(10);

/// Which measurements of one series are kept as exemplars, decided by something of one's own: see
/// [`ViewBuilder::exemplar_reservoir`](crate::ViewBuilder::exemplar_reservoir).
///
/// It is called by whoever records, one at a time: a measurement that comes while another thread or a
/// reader has it is passed over. It must not record into the instrument itself, whose measurement
/// would be passed over. Neither method may collect, nor declare or remove series, and neither may
/// block: a collection goes on without the exemplars of a reservoir it cannot have soon, and what is
/// recorded waits for an offer. A panic ends with the call.
pub trait ExemplarReservoir: Send {
    /// A measurement that the filter let through.
    fn offer(&mut self, measurement: &Measurement<'_>);

    /// Those that are to be shown now, in any order. Cumulative readers want those shown before as
    /// well; readers of deltas leave out what is older than their last collection.
    fn collect(&mut self) -> Vec<Exemplar>;
}

/// One measurement, as it is offered to an [`ExemplarReservoir`].
#[derive(Clone, Copy, Debug)]
pub struct Measurement<'a> {
    value: Number,
    given: &'a [KeyValue],
    series: &'a Attributes,
    span: Option<Span>,
}

/// Makes reservoirs, one for each series.
#[derive(Clone)]
pub(crate) struct MakeReservoir(Arc<dyn Fn() -> Box<dyn ExemplarReservoir> + Send + Sync>);

/// The reservoir of one series, from its first measurement on, and when that series began.
#[derive(Default)]
pub(crate) struct Custom(Mutex<Option<(u64, Box<dyn ExemplarReservoir>)>>);

impl<'a> Measurement<'a> {
    pub(crate) fn new(
        value: Number,
        given: &'a [KeyValue],
        series: &'a Attributes,
        span: Option<Span>,
    ) -> Self {
        Self {
            value,
            given,
            series,
            span,
        }
    }

    /// What was measured.
    #[must_use]
    pub fn value(&self) -> Number {
        self.value
    }

    /// The attributes it was recorded with, also those that a view leaves out.
    #[must_use]
    pub fn attributes(&self) -> &'a [KeyValue] {
        self.given
    }

    /// The trace and the span it was made in, if there is one. The rest of the current OpenTelemetry
    /// context can be had from the API.
    #[must_use]
    pub fn span(&self) -> Option<(opentelemetry::TraceId, opentelemetry::SpanId)> {
        self.span
    }

    /// The exemplar it would be, made now.
    #[must_use]
    pub fn exemplar(&self) -> Exemplar {
        Exemplar {
            value: self.value,
            time: SystemTime::now(),
            span: self.span,
            filtered_attributes: left_out(self.given, self.series),
        }
    }
}

impl MakeReservoir {
    pub(crate) fn new<R: ExemplarReservoir + 'static>(
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || Box::new(make())))
    }

    /// Whether both make the same reservoirs.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// None if it panics.
    fn make(&self) -> Option<Box<dyn ExemplarReservoir>> {
        catch_unwind(AssertUnwindSafe(|| (self.0)())).ok()
    }
}

impl Custom {
    /// Offers a measurement of the series that began then.
    pub(crate) fn offer(&self, series: u64, make: &MakeReservoir, measurement: &Measurement<'_>) {
        let Some(mut kept) = self.0.try_lock() else {
            return;
        };
        if kept.as_ref().is_none_or(|(began, _)| *began != series) {
            let made = make.make().map(|reservoir| (series, reservoir));
            discard(std::mem::replace(&mut *kept, made));
        }
        if let Some((_, reservoir)) = &mut *kept {
            // Recording fails for nobody.
            let _ = catch_unwind(AssertUnwindSafe(|| reservoir.offer(measurement)));
        }
    }

    /// Those of the series that began then; none while it is being offered something that takes long.
    pub(super) fn collect(&self, series: u64) -> Vec<Exemplar> {
        // Locks of the collection are held: foreign code may not keep it.
        let Some(mut kept) = self.0.try_lock_for(PATIENCE) else {
            return Vec::new();
        };
        let Some((_, reservoir)) = kept.as_mut().filter(|(began, _)| *began == series) else {
            return Vec::new();
        };
        let collected = catch_unwind(AssertUnwindSafe(|| reservoir.collect()));
        let mut collected = collected.unwrap_or_default();
        // Encoders want those of a histogram in the order of its buckets.
        collected.sort_by(|a, b| a.value.as_f64().total_cmp(&b.value.as_f64()));
        collected
    }
}

impl Drop for Custom {
    fn drop(&mut self) {
        discard(self.0.get_mut().take());
    }
}

/// Drops what is foreign: neither recording nor collecting fails with it.
fn discard(reservoir: Option<(u64, Box<dyn ExemplarReservoir>)>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(reservoir)));
}

impl fmt::Debug for MakeReservoir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeReservoir")
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    fn offer(custom: &Custom, series: u64, make: &MakeReservoir) {
        let attributes = Attributes::new(&[]);
        let measurement = Measurement::new(Number::U64(1), &[], &attributes, None);
        custom.offer(series, make, &measurement);
    }

    /// Collects while it is offered something.
    struct Collecting(Arc<Custom>, Sender<usize>);

    impl ExemplarReservoir for Collecting {
        fn offer(&mut self, _: &Measurement<'_>) {
            let _ = self.1.send(self.0.collect(1).len());
        }

        fn collect(&mut self) -> Vec<Exemplar> {
            Vec::new()
        }
    }

    #[test]
    fn a_collection_does_not_wait_for_an_offer() {
        let custom = Arc::<Custom>::default();
        let (sender, collected) = channel();
        let itself = Arc::clone(&custom);
        let make = MakeReservoir::new(move || Collecting(Arc::clone(&itself), sender.clone()));
        offer(&custom, 1, &make);
        assert_eq!(collected.try_recv(), Ok(0));
    }

    /// Panics when it is dropped.
    struct Bomb;

    impl ExemplarReservoir for Bomb {
        fn offer(&mut self, _: &Measurement<'_>) {}

        fn collect(&mut self) -> Vec<Exemplar> {
            let attributes = Attributes::new(&[]);
            vec![Measurement::new(Number::U64(1), &[], &attributes, None).exemplar()]
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose")
        }
    }

    #[test]
    fn one_that_panics_when_dropped_makes_room_all_the_same() {
        let custom = Custom::default();
        let make = MakeReservoir::new(|| Bomb);
        for series in [1, 2] {
            offer(&custom, series, &make);
            assert_eq!(custom.collect(series).len(), 1);
        }
        assert!(custom.collect(1).is_empty());
    }
}
