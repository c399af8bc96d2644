//! Gureum: services.
