//! End to end: crash.
