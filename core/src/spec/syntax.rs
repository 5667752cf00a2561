//! The structure of RON text.
