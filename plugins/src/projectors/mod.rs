//! Projectors of visual tokens to the LLM's width: one file each, found by itself.

automod::dir!(pub "src/projectors");
