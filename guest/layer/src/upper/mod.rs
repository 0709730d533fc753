//! Upper layer.
