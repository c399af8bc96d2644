//! Gureum: types.
