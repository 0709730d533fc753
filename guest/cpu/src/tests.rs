//! Whole programs, natively.
