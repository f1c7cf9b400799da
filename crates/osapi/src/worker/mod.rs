//! Takes jobs off a queue and runs them.
