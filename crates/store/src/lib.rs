//! Gureum: store.
