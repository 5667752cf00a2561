//! Fusions of several experts' features: one file each, found by itself.

automod::dir!(pub "src/fusions");
