//! Gureum: host.
