//! Parts of a node, as `train` and `lr_of` name them: `"clip"`, `"clip.blocks[-6:]"`,
//! `"llm.model.layers[0:2].mlp"`.
//!
//! What follows the node's id is a path along its parameters' names, with slices as Python has them
//! where a name has a number. `blocks` stands for the node's repeated blocks, whatever its
//! checkpoint calls them (`vision_model.encoder.layers.0`, `stages.1.blocks.2`), in their order.

use crate::nn::ParamShape;

/// What can be wrong with a part, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub help: String,
}

fn wrong<T>(message: String, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message, help: help.into() })
}

/// The id of the node that a target names: the whole of it, or what stands before a part.
pub(super) fn node_of(target: &str) -> &str {
    target.find(['.', '[']).map_or(target, |end| &target[..end])
}

/// A step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Name(&'a str),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
}

/// Which of a node's parameters a path (`.blocks[-6:]`) means.
pub(super) fn select(path: &str, params: &[ParamShape]) -> Result<Vec<bool>, Wrong> {
    let words = |param: &ParamShape| param.name.split('.').map(str::to_owned).collect();
    let mut rest: Rest = params.iter().map(words).enumerate().collect();
    for (at, step) in steps(path)?.into_iter().enumerate() {
        let literal = rest.iter().any(|(_, names)| names.first().is_some_and(|n| n == "blocks"));
        rest = match step {
            Step::Name("blocks") if at == 0 && !literal => blocks(&rest)?,
            Step::Name(name) => named(rest, name, at == 0)?,
            Step::Index(_) | Step::Slice(..) => sliced(rest, step)?,
        };
    }
    let mut selected = vec![false; params.len()];
    rest.iter().for_each(|(param, _)| selected[*param] = true);
    Ok(selected)
}

fn steps(path: &str) -> Result<Vec<Step<'_>>, Wrong> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('.') {
            let (name, more) = inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()));
            if name.is_empty() {
                return wrong(format!("`{path}` has a dot without a name behind it"), EXAMPLE);
            }
            steps.push(Step::Name(name));
            rest = more;
        } else if let Some((inner, more)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            steps.push(bracket(inner)?);
            rest = more;
        } else {
            return wrong(format!("`{rest}` is not a part"), EXAMPLE);
        }
    }
    Ok(steps)
}

const EXAMPLE: &str = "a part is written \"clip.blocks[-6:]\", \"clip.blocks[0]\" or \"clip.vision_model.embeddings\"";

fn bracket(text: &str) -> Result<Step<'_>, Wrong> {
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        digits => match digits.parse::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => wrong(format!("`[{text}]` is neither a whole number nor a slice"), EXAMPLE),
        },
    };
    if let Some((from, to)) = text.split_once(':') {
        return Ok(Step::Slice(number(from)?, number(to)?));
    }
    match number(text)? {
        Some(index) => Ok(Step::Index(index)),
        None => wrong("`[]` selects nothing".to_owned(), EXAMPLE),
    }
}

/// Parameters with what is left of their names.
type Rest = Vec<(usize, Vec<String>)>;

/// The different first words, in order.
fn heads(rest: &Rest) -> Vec<String> {
    let mut heads: Vec<String> = Vec::new();
    for head in rest.iter().filter_map(|(_, names)| names.first()) {
        if !heads.contains(head) {
            heads.push(head.clone());
        }
    }
    heads
}

fn named(mut rest: Rest, name: &str, first: bool) -> Result<Rest, Wrong> {
    let mut known = heads(&rest);
    rest.retain(|(_, names)| names.first().is_some_and(|n| n == name));
    rest.iter_mut().for_each(|(_, names)| drop(names.remove(0)));
    if !rest.is_empty() {
        return Ok(rest);
    }
    if first && !known.is_empty() {
        known.push("blocks".to_owned());
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match known.is_empty() {
        true => "it stands behind a whole parameter: leave it out".to_owned(),
        false => crate::spec::problem::did_you_mean(name, "parts", &known),
    };
    wrong(format!("there is no part `{name}`"), help)
}

/// What a list of repeated blocks is called in checkpoints.
const LISTS: [&str; 6] = ["layers", "layer", "blocks", "block", "resblocks", "h"];

/// The repeated blocks, numbered through: every name led by its block's number.
fn blocks(rest: &Rest) -> Result<Rest, Wrong> {
    let mut keys: Vec<Vec<String>> = Vec::new();
    let mut found = Vec::new();
    for (param, names) in rest {
        let is_block =
            |at: &usize| LISTS.contains(&names[at - 1].as_str()) && number(&names[*at]).is_some();
        let Some(end) = (1..names.len()).rev().find(is_block) else { continue };
        let key = names[..=end].to_vec();
        let position = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        });
        let mut left = vec![position.to_string()];
        left.extend_from_slice(&names[end + 1..]);
        found.push((*param, left));
    }
    match found.is_empty() {
        false => Ok(found),
        true => {
            wrong("this node has no repeated blocks".to_owned(), "name a part of its parameters")
        }
    }
}

fn number(name: &str) -> Option<i64> {
    name.parse().ok()
}

fn sliced(mut rest: Rest, step: Step<'_>) -> Result<Rest, Wrong> {
    let mut numbers: Vec<i64> = heads(&rest).iter().filter_map(|head| number(head)).collect();
    numbers.sort_unstable();
    let count = numbers.len() as i64;
    if count == 0 {
        return wrong("there is no numbered list here".to_owned(), "write no `[…]` here");
    }
    let from_end = |i: i64| if i < 0 { i + count } else { i };
    let range = match step {
        Step::Index(i) => from_end(i)..from_end(i) + 1,
        Step::Slice(from, to) => {
            let end = |at: Option<i64>, open| at.map_or(open, |at| from_end(at).clamp(0, count));
            end(from, 0)..end(to, count)
        }
        Step::Name(_) => 0..count,
    };
    let chosen: Vec<i64> =
        (0..).zip(&numbers).filter(|(i, _)| range.contains(i)).map(|(_, n)| *n).collect();
    if chosen.is_empty() {
        return wrong(
            format!("this selects none of {count}"),
            format!("they are counted from 0 to {}, or from -{count} to -1", count - 1),
        );
    }
    let is_chosen = |names: &[String]| {
        names.first().and_then(|n| number(n)).is_some_and(|n| chosen.contains(&n))
    };
    rest.retain(|(_, names)| is_chosen(names));
    rest.iter_mut().for_each(|(_, names)| drop(names.remove(0)));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(names: &[&str]) -> Vec<ParamShape> {
        let param =
            |name: &&str| ParamShape { name: (*name).into(), shape: vec![1], buffer: false };
        names.iter().map(param).collect()
    }

    fn selected(path: &str, names: &[&str]) -> Vec<String> {
        let chosen = select(path, &params(names)).expect(path);
        let names = names.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        names.map(|(name, _)| (*name).to_owned()).collect()
    }

    const VIT: [&str; 6] = [
        "patch.weight",
        "encoder.layers.0.w",
        "encoder.layers.1.w",
        "encoder.layers.1.b",
        "encoder.layers.2.w",
        "norm.w",
    ];
    const PYRAMID: [&str; 5] = [
        "stem.0.w",
        "stages.0.blocks.0.w",
        "stages.0.blocks.1.w",
        "stages.1.downsample.0.w",
        "stages.1.blocks.0.w",
    ];

    #[test]
    fn blocks_are_counted_as_python_slices_count() {
        assert_eq!(selected(".blocks[-1:]", &VIT), ["encoder.layers.2.w"]);
        assert_eq!(selected(".blocks[1]", &VIT), ["encoder.layers.1.w", "encoder.layers.1.b"]);
        assert_eq!(selected(".blocks[:2].w", &VIT), ["encoder.layers.0.w", "encoder.layers.1.w"]);
        assert_eq!(selected(".blocks[-99:]", &VIT).len(), 4);
        assert_eq!(
            selected(".blocks[-2:]", &PYRAMID),
            ["stages.0.blocks.1.w", "stages.1.blocks.0.w"]
        );
    }

    #[test]
    fn a_part_may_be_named_as_the_checkpoint_does() {
        assert_eq!(selected(".patch", &VIT), ["patch.weight"]);
        assert_eq!(selected(".stages[1]", &PYRAMID).len(), 2);
        assert_eq!(selected(".encoder.layers[0:1]", &VIT), ["encoder.layers.0.w"]);
        assert_eq!(selected(".blocks[0]", &["blocks.0.w", "blocks.1.w"]), ["blocks.0.w"]);
    }

    #[test]
    fn what_selects_nothing_is_said() {
        for (path, message) in [
            (".blocks[9]", "this selects none of 3"),
            (".blocks[2:1]", "this selects none of 3"),
            (".encode", "there is no part `encode`"),
            (".norm[0]", "there is no numbered list here"),
            (".blocks[x]", "`[x]` is neither a whole number nor a slice"),
            (".blocks[]", "`[]` selects nothing"),
            (".norm..w", "`.norm..w` has a dot without a name behind it"),
            (".norm.w.x", "there is no part `x`"),
        ] {
            assert_eq!(select(path, &params(&VIT)).expect_err(path).message, message);
        }
    }
}
