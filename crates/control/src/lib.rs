//! Gureum: control.
