//! Objectives: one file each, found by itself, and what they share.

automod::dir!(pub "src/objectives");
