//! What a job can do: typed, documented handlers, found by name.
