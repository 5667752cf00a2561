//! An entry of LLaVA's format, as its code reads it.
//!
//! A first message that isn't the user's is skipped, as in LLaVA's `preprocess_v1`. A question at
//! the end that nobody answers is left out: LLaVA learns nothing from it. Both are told
//! ([`Entry::remarks`]).

use eagle_core::data::Turn;
use serde_json::Value;

/// What an entry says, as far as it can be used.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The path of its picture, if it names one.
    pub image: Option<String>,
    /// Questions with their answers.
    pub turns: Vec<Turn>,
    /// What was left out.
    pub remarks: Vec<String>,
}

/// Reads an entry. `pictured` says whether a picture came with it, beside `image`.
///
/// # Errors
/// Why it can't be used.
pub(super) fn entry(value: &Value, said: &Value, pictured: bool) -> Result<Entry, String> {
    let image = match &value["image"] {
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        Value::Null => None,
        _ if pictured => None,
        other => return Err(format!("`image` is {other}, not a path")),
    };
    let said = said.as_array().ok_or("it has no `conversations`")?;
    let mut remarks = Vec::new();
    let skipped = usize::from(said.len() > 1 && said.first().is_some_and(is_answer));
    if skipped == 1 {
        remarks.push("the first message is an answer without a question: left out".to_owned());
    }
    let messages = said.iter().enumerate().skip(skipped);
    let messages = messages.map(|(i, one)| message(one, i, (i + skipped).is_multiple_of(2)));
    let messages = messages.collect::<Result<Vec<&str>, String>>()?;
    if messages.len() < 2 {
        return Err(format!("it has {} messages: each question needs an answer", said.len()));
    }
    if !messages.len().is_multiple_of(2) {
        remarks.push("the last question has no answer: left out".to_owned());
    }
    let turns = messages.chunks_exact(2);
    let turns = turns.map(|pair| Turn { question: pair[0].into(), answer: pair[1].into() });
    let turns: Vec<Turn> = turns.collect();
    let shown: usize = turns.iter().map(|turn| turn.question.matches("<image>").count()).sum();
    match (shown, pictured || image.is_some()) {
        (1.., false) => Err("it says `<image>`, but has no `image`".into()),
        (2.., true) => Err(format!("it says `<image>` {shown} times, for one `image`")),
        _ => Ok(Entry { id: id(value), image, turns, remarks }),
    }
}

/// An entry's id.
pub(super) fn id(value: &Value) -> Option<String> {
    match &value["id"] {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// The words of a conversation, as LLaVA counts them to group by length.
pub(super) fn words(said: &Value) -> i32 {
    let values = said.as_array().into_iter().flatten().filter_map(|one| one["value"].as_str());
    let words: usize = values.map(eagle_core::data::words).sum();
    i32::try_from(words.max(1)).unwrap_or(i32::MAX)
}

fn is_answer(one: &Value) -> bool {
    matches!(one["from"].as_str(), Some("gpt" | "assistant"))
}

/// What message `i` says.
fn message(one: &Value, i: usize, asks: bool) -> Result<&str, String> {
    let from = one["from"].as_str().unwrap_or_default();
    let (known, expected) = match asks {
        true => (matches!(from, "human" | "user"), "human"),
        false => (is_answer(one), "gpt"),
    };
    if !known {
        return Err(format!("message {i} is from {}, not from {expected:?}", one["from"]));
    }
    let value = one["value"].as_str().ok_or_else(|| format!("message {i} has no `value`"))?;
    if !asks && value.trim().is_empty() {
        return Err(format!("message {i}, an answer, is empty"));
    }
    if !asks && value.contains("<image>") {
        return Err(format!("message {i}, an answer, says `<image>`"));
    }
    Ok(value)
}
