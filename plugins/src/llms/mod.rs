//! LLMs: one file each, found by itself, and where their tokenizers come from.

automod::dir!(pub "src/llms");
