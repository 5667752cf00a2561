//! eagle-plugins.
