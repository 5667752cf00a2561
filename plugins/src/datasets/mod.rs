//! Data sets: one file each, found by itself.

automod::dir!(pub "src/datasets");
