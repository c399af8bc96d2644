//! Gureum: api.
