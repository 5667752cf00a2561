//! eagle-core.
