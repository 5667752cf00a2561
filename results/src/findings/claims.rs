//! The paper's findings as claims about rows of a table, embedded from `results/paper/findings.ron`.

use serde::Deserialize;

use crate::paper::same_name;

/// One finding of the paper, as a claim that runs can decide.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its name, unique.
    pub id: String,
    /// The table of the paper, and the end of a study's name, to which it belongs: "fusion".
    pub table: String,
    /// What it says.
    pub statement: String,
    /// Where the paper says it.
    pub place: String,
    /// Where that was read.
    pub source: String,
    /// "primary", "two-secondary" or "single-secondary": as of [`crate::Published`].
    pub confidence: String,
    /// The paper's numbers, the greater side first, where they are known: from one review.
    #[serde(default)]
    pub published: Option<String>,
    /// The benchmarks that it speaks of; of all where there are none.
    #[serde(default)]
    pub benchmarks: Vec<String>,
    /// By how much the greater side may be lower: above 0 for claims that something does no harm.
    #[serde(default)]
    pub margin: f64,
    /// The rows that are said to score more. Of several groups the means are added, so that
    /// a difference of differences can be said.
    pub more: Vec<RowsOf>,
    /// The rows that are said to score less.
    pub less: Vec<RowsOf>,
}

/// Trials of a study.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsOf {
    /// The table of the study, where it is not the claim's.
    #[serde(default)]
    pub of: Option<String>,
    /// What their axes must be.
    #[serde(rename = "where")]
    pub axes: Vec<(String, Value)>,
    /// Whether only the one that scores best is meant.
    #[serde(default)]
    pub best: bool,
}

/// What the value of an axis must be.
#[derive(Debug, Clone, Deserialize)]
pub enum Value {
    /// This, whatever a plugin's fields are.
    Is(String),
    /// This, where the study varies the axis at all.
    IsIfVaried(String),
    /// Any but this.
    Not(String),
    /// One of these.
    OneOf(Vec<String>),
    /// The value at this place of the axis, from 0.
    Nth(usize),
    /// A set of so many experts: `clip+sam` are two.
    Size(usize),
    /// What ends so.
    EndsWith(String),
    /// Any, and rows that differ in it are compared.
    Any,
}

impl Value {
    /// Whether `value` is meant, of an axis that has the values `all`.
    pub fn admits(&self, value: &str, all: &[String]) -> bool {
        match self {
            Value::Is(name) | Value::IsIfVaried(name) => same_name(value, name),
            Value::Not(name) => !same_name(value, name),
            Value::OneOf(names) => names.iter().any(|name| same_name(value, name)),
            Value::Nth(place) => all.get(*place).is_some_and(|known| known == value),
            Value::Size(size) => value.split('+').count() == *size,
            Value::EndsWith(end) => value.ends_with(end.as_str()),
            Value::Any => true,
        }
    }

    /// As it is said when no row has it.
    pub fn told(&self, axis: &str) -> String {
        match self {
            Value::Is(name) | Value::IsIfVaried(name) => format!("{axis} {name}"),
            Value::Not(name) => format!("{axis} other than {name}"),
            Value::OneOf(names) => format!("{axis} {}", names.join(" or ")),
            Value::Nth(place) => format!("a value of {axis} at place {}", place + 1),
            Value::Size(size) => format!("{size} {axis}"),
            Value::EndsWith(end) => format!("{axis} that ends in {end}"),
            Value::Any => format!("any {axis}"),
        }
    }
}

/// Where a published row of a study stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub table: String,
    pub row: String,
    #[serde(rename = "is")]
    pub rows: RowsOf,
}

const PLACES: &str = include_str!("../../paper/rows.ron");

/// Every place of a published row; the file is ours, and a test holds that it is read.
pub fn places() -> Vec<Place> {
    options().from_str(PLACES).unwrap_or_default()
}

const CLAIMS: &str = include_str!("../../paper/findings.ron");

/// Every claim, in the order of the paper. The file is ours, and a test holds that it is read.
pub fn claims() -> Vec<Claim> {
    options().from_str(CLAIMS).unwrap_or_default()
}

fn options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_claim_of_the_file_is_read_and_has_a_name_of_its_own() {
        let claims = claims();
        assert_eq!(claims.len(), CLAIMS.matches("\n        id: ").count());
        assert!(claims.len() > 20);
        let ids: BTreeSet<&str> = claims.iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(ids.len(), claims.len());
        for claim in &claims {
            let known = ["primary", "two-secondary", "single-secondary"];
            assert!(known.contains(&claim.confidence.as_str()), "{}", claim.id);
            // A contrast: as much is added as is taken away.
            assert_eq!(claim.more.len(), claim.less.len(), "{}", claim.id);
        }
    }

    #[test]
    fn every_place_is_read_and_names_a_published_row() {
        let places = places();
        assert_eq!(places.len(), PLACES.matches("(table: ").count());
        let published = crate::published();
        for place in places {
            let known = published.iter().any(|p| p.table == place.table && p.row == place.row);
            assert!(known, "{} {}", place.table, place.row);
        }
    }

    #[test]
    fn values_are_meant_by_name_by_place_and_by_size() {
        let all = ["40".to_owned(), "56".to_owned()];
        assert!(Value::Is("ChannelConcat".into()).admits("ChannelConcat(grid: 8)", &[]));
        assert!(!Value::Is("clip".into()).admits("clip+sam", &[]));
        assert!(Value::Nth(1).admits("56", &all) && !Value::Nth(2).admits("56", &all));
        assert!(Value::Size(2).admits("clip+sam", &[]) && !Value::Size(1).admits("clip+sam", &[]));
    }
}
