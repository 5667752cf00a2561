//! The mini world: pictures drawn from a seed, with questions whose answers are known by
//! construction, so that a study runs anywhere, offline, in minutes.
//!
//! `lexicon` holds the words, `scene` a picture's description (further kinds of scene are files
//! beside it), `canvas` and `glyphs` draw it at any size, `questions` asks about it, and
//! `conversation` makes a scene and its questions for each other.
//!
//! All of it is a pure function of a seed, the same on every platform: no function of the system's
//! mathematical library is called (`sin` differs between them in the last bit).

pub mod annotate;
pub mod canvas;
pub mod classes;
pub mod compositions;
pub mod conversation;
pub mod dice;
pub mod families;
pub mod glyphs;
pub mod lettering;
pub mod lexicon;
pub mod questions;
pub mod scene;
pub mod scenes;
pub mod shapes;
pub mod vocabulary;
