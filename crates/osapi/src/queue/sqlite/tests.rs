//! Tests of what only this backend does; the promises of every backend are in `queue::contract`.
