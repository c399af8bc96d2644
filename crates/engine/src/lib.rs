//! Gureum: engine.
