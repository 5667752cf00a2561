//! The published numbers, embedded from `results/paper/` (its README says where each is from and
//! how sure it is). Facts to compare with: never mixed into a number of our own.

/// One published number.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Which table: a study of the paper ("fusion"), or a file of models ("released_models").
    pub table: &'static str,
    /// The table's row: a setting of the study, or a model.
    pub row: &'static str,
    /// What the row holds fixed: experts, or the LLM.
    pub setting: &'static str,
    /// The benchmark, or "avg", "visual_tokens", "tokens_per_s".
    pub metric: &'static str,
    /// In the units of the publication: percent for accuracies.
    pub value: f64,
    /// Where it was read.
    pub source: &'static str,
    /// "primary", "two-secondary", "single-secondary" or "primary-but-wrong-metric".
    pub confidence: &'static str,
}

const ABLATIONS: &str = include_str!("../paper/ablation_averages.csv");

/// Files whose rows are models: `model,llm,benchmark,value,source,confidence`.
const MODELS: [(&str, &str); 2] = [
    ("released_models", include_str!("../paper/released_models.csv")),
    ("paper_v2_13b", include_str!("../paper/paper_v2_13b.csv")),
];

/// As above, with the first two columns swapped.
const CAMBRIAN: (&str, &str) =
    ("cambrian_data_models", include_str!("../paper/cambrian_data_models.csv"));

/// Every published number that is known here.
#[must_use]
pub fn published() -> Vec<Published> {
    let mut all = Vec::new();
    for [table, row, setting, metric, value, source, confidence] in lines(ABLATIONS) {
        all.extend(number(table, row, setting, metric, value, source, confidence));
    }
    for (table, file) in MODELS {
        for [row, setting, metric, value, source, confidence] in lines(file) {
            all.extend(number(table, row, setting, metric, value, source, confidence));
        }
    }
    for [setting, row, metric, value, source, confidence] in lines(CAMBRIAN.1) {
        all.extend(number(CAMBRIAN.0, row, setting, metric, value, source, confidence));
    }
    all
}

fn number(
    table: &'static str,
    row: &'static str,
    setting: &'static str,
    metric: &'static str,
    value: &'static str,
    source: &'static str,
    confidence: &'static str,
) -> Option<Published> {
    let value = value.parse().ok()?;
    Some(Published { table, row, setting, metric, value, source, confidence })
}

/// The files are ours and quote nothing, which a test holds.
fn lines<const N: usize>(file: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    file.lines().skip(1).filter_map(|line| line.split(',').collect::<Vec<_>>().try_into().ok())
}

/// What is left of a name when spelling conventions are taken away: "ChannelConcat(grid: 8)" and
/// "channel-concat" are one.
pub fn same_name(a: &str, b: &str) -> bool {
    let key = |text: &str| -> String {
        let name = text.split('(').next().unwrap_or(text);
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    key(a) == key(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_every_file_is_read() {
        let files = [ABLATIONS, MODELS[0].1, MODELS[1].1, CAMBRIAN.1];
        let written: usize = files.iter().map(|file| file.lines().count() - 1).sum();
        assert_eq!(published().len(), written);
        assert!(files.iter().all(|file| !file.contains('"')));
    }

    #[test]
    fn a_plugin_matches_the_paper_s_name_for_it() {
        assert!(same_name("LlavaHr(blocks: 4)", "llava-hr"));
        assert!(same_name("freeze/pre-align", "freeze/pre-align"));
        assert!(!same_name("mini-gqa", "GQA"));
    }

    #[test]
    fn known_numbers_are_where_the_readme_says() {
        let value = |table, row, metric| {
            let found: Vec<f64> = published()
                .iter()
                .filter(|p| (p.table, p.row, p.metric) == (table, row, metric))
                .map(|p| p.value)
                .collect();
            found
        };
        assert_eq!(value("fusion", "channel-concat", "avg"), [681.5]);
        assert_eq!(value("released_models", "Eagle-X5-7B", "GQA"), [64.9]);
        assert_eq!(value("cambrian_data_models", "Eagle-X4-8B-Plus", "DocVQA"), [86.6]);
    }
}
