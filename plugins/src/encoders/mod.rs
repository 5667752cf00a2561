//! Vision encoders: one file each, found by itself.

automod::dir!(pub "src/encoders");
