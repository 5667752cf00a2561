//! How a reference's checkpoint and a plugin's parameters differ, as data: keys that are knowingly
//! not used, and keys that another implementation spells differently.

/// What a plugin declares about checkpoints of its reference, beside its parameters' names.
///
/// In a pattern `*` stands for one part between dots and `**` for one or more:
/// `text_model.**`, `stages.*.blocks.*.gamma`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Patterns of keys that a file may have although this configuration has no use for them. A
    /// key that a parameter asks for is used all the same.
    pub ignored: Vec<String>,
    /// A parameter's name and how other implementations spell it, as two patterns with the same
    /// stars. The parameter's own name is looked for first.
    pub renamed: Vec<(String, String)>,
}

impl Keys {
    /// Keys that may be there and are not used.
    pub fn ignoring<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Keys {
        Keys { ignored: patterns.into_iter().map(Into::into).collect(), renamed: Vec::new() }
    }

    /// Another spelling of some parameters: `(ours, theirs)`.
    #[must_use]
    pub fn renaming(mut self, ours: &str, theirs: &str) -> Keys {
        self.renamed.push((ours.into(), theirs.into()));
        self
    }

    /// Whether a key may stay unused.
    pub fn ignores(&self, key: &str) -> bool {
        self.ignored.iter().any(|pattern| matches(pattern, key).is_some())
    }

    /// The names under which a parameter may stand in a file, its own first.
    pub fn spellings(&self, name: &str) -> Vec<String> {
        let other = |(ours, theirs): &(String, String)| {
            let parts = matches(ours, name)?;
            Some(fill(theirs, &parts))
        };
        std::iter::once(name.to_owned()).chain(self.renamed.iter().filter_map(other)).collect()
    }
}

/// What the stars of a pattern stand for in `key`, if it fits.
fn matches<'k>(pattern: &str, key: &'k str) -> Option<Vec<&'k str>> {
    let (part, rest) = split(pattern);
    if part == "**" {
        // The shortest that lets the rest fit.
        let ends = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
        return ends.into_iter().find_map(|end| {
            let left = &key[..end];
            let stars = match (rest, key.get(end + 1..)) {
                (None, None) => Vec::new(),
                (Some(rest), Some(right)) => matches(rest, right)?,
                _ => return None,
            };
            Some(std::iter::once(left).chain(stars).collect())
        });
    }
    let (found, right) = split(key);
    if part != "*" && part != found {
        return None;
    }
    let stars = match (rest, right) {
        (None, None) => Vec::new(),
        (Some(rest), Some(right)) => matches(rest, right)?,
        _ => return None,
    };
    Some((part == "*").then_some(found).into_iter().chain(stars).collect())
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// A pattern with its stars filled in, in order.
fn fill(pattern: &str, stars: &[&str]) -> String {
    let mut stars = stars.iter();
    let parts = pattern.split('.').map(|part| match part {
        "*" | "**" => stars.next().copied().unwrap_or(part),
        _ => part,
    });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_part_and_two_are_any_number() {
        assert_eq!(
            matches("stages.*.blocks.*.gamma", "stages.0.blocks.12.gamma"),
            Some(vec!["0", "12"])
        );
        assert_eq!(matches("stages.*.gamma", "stages.0.blocks.12.gamma"), None);
        assert_eq!(
            matches("text_model.**", "text_model.encoder.weight"),
            Some(vec!["encoder.weight"])
        );
        assert_eq!(matches("text_model.**", "text_model"), None);
        assert_eq!(matches("**.inv_freq", "a.b.rope.inv_freq"), Some(vec!["a.b.rope"]));
        assert_eq!(matches("logit_scale", "logit_scale"), Some(vec![]));
        assert_eq!(matches("logit_scale", "logit_scale.x"), None);
    }

    #[test]
    fn a_parameter_is_known_under_its_own_name_and_its_others() {
        let keys = Keys::ignoring(["head.**"])
            .renaming("stages.*.blocks.*.gamma", "stages.*.blocks.*.weight");
        let spellings = keys.spellings("stages.2.blocks.7.gamma");
        assert_eq!(spellings, ["stages.2.blocks.7.gamma", "stages.2.blocks.7.weight"]);
        assert_eq!(keys.spellings("stem.0.weight"), ["stem.0.weight"]);
        assert!(keys.ignores("head.fc.bias") && !keys.ignores("header.fc"));
    }
}
