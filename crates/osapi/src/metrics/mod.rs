//! osapi's own metrics: the [catalogue] says what there is, `meterline-jobs` records what happens to
//! jobs, [`StateMetrics`] tells how the queue and the fleet are when a scrape asks.

pub mod catalogue;
mod instruments;
mod readings;
mod state;

pub use instruments::Instruments;
pub(crate) use readings::Current;
pub use readings::{Readings, keep_current};
pub use state::{Sources, StateMetrics};
