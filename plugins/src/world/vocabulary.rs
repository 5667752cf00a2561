//! The mini vocabulary: a Hugging Face `tokenizer.json` of some 180 tokens.
//!
//! Every word of the mini world is one token; any other ASCII text is spelled character by
//! character, so that what is printed in a picture is read letter by letter and an unknown word
//! can still be said. Text is lower-cased; what lies outside ASCII becomes `<unk>`. A word
//! carries the space before it (`▁red`), and every piece of text begins as if after a space.

use serde_json::{Value, json};

use super::lexicon;

/// `tokenizer.json`'s text, as [`tokenizer_json`] makes it.
pub const TOKENIZER: &str = include_str!("tokenizer.json");

/// The special tokens: unknown, padding, end of an answer.
const SPECIAL: [&str; 3] = ["<unk>", "<pad>", "</s>"];

/// The text of `tokenizer.json`, made from the lexicon.
#[must_use]
pub fn tokenizer_json() -> String {
    let mut tokens: Vec<String> = SPECIAL.map(String::from).to_vec();
    tokens.extend(["▁", "\n"].map(String::from));
    tokens.extend(('!'..='~').filter(|c| !c.is_ascii_uppercase()).map(String::from));
    tokens.extend((0..=9).map(|digit| format!("▁{digit}")));
    let known = tokens.clone();
    let words = lexicon::words().into_iter().map(|word| format!("▁{word}"));
    tokens.extend(words.filter(|word| !known.contains(word)));

    let vocabulary: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let added: Vec<Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let space = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                       "split": false});
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            space,
            {"type": "Split", "pattern": {"Regex": "▁?[a-z]+|▁?[0-9]|[^a-z0-9]"},
             "behavior": "Isolated", "invert": false},
        ]},
        "post_processor": null,
        "decoder": space,
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
                  "vocab": vocabulary, "merges": []},
    });
    format!("{file:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `UPDATE_FIXTURES` to write the file anew.
    #[test]
    fn tokenizer_json_is_what_the_lexicon_makes() {
        let made = tokenizer_json();
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/world/tokenizer.json");
            assert!(std::fs::write(path, &made).is_ok(), "can't write {path}");
        } else {
            // As values: the order of a map's keys is another crate's choice of features.
            let [made, kept] = [&made, TOKENIZER].map(serde_json::from_str::<Value>);
            assert_eq!(made.ok(), kept.ok(), "run this test with UPDATE_FIXTURES=1");
        }
    }
}
