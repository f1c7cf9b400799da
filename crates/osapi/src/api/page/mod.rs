//! The page at `/`: its files, and the one stream of readings its charts live on.

mod assets;
mod live;
mod measured;
mod reading;

pub(super) use self::assets::{asset, index};
pub(super) use self::live::{Live, follow};
pub(super) use self::measured::Measurements;
