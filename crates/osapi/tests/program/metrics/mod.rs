//! What the program says about itself: every metric, on the right page, with the right numbers.

mod attacked;
mod documented;
mod exposed;
mod monitored;
pub(crate) mod page;
mod rows;
mod switched;
mod values;
