//! End to end: lab.
