//! eagle-results.
