//! eagle-lab.
