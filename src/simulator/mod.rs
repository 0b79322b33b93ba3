//! A simulated sidecar.
