//! The page at `/`: its files, and the one stream of readings its charts live on.

pub(super) mod assets;
pub(super) mod live;
mod measured;
mod reading;

pub(super) use self::live::Live;
pub(super) use self::measured::Measurements;
