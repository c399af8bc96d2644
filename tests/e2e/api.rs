//! End to end: api.
