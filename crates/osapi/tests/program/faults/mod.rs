//! Processes that are killed, disks that are full, files that are broken.

mod disk;
mod killed;
mod refused;
mod stopped;
