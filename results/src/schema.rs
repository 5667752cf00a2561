//! The frames' columns: name, type, unit, meaning. The single source from which frames are built,
//! `query --schema` is printed and `docs/results.md` is checked.

use std::fmt;

/// Raised when a column is renamed, retyped or removed; adding one keeps it. Part of what a frame
/// on disk is checked against, so that an old frame is rebuilt.
pub const FRAMES_VERSION: u32 = 1;

/// What runs give an `axis_` column its name.
pub const AXIS_PREFIX: &str = "axis_";

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name in SQL, and of its file: `frames/NAME.parquet`.
    pub name: &'static str,
    /// What one row is.
    pub row: &'static str,
    /// In the order in which they are stored.
    pub columns: &'static [ColumnSchema],
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its type on disk.
    pub kind: Kind,
    /// Its unit; empty where it has none.
    pub unit: &'static str,
    /// What it says, and when it is null.
    pub meaning: &'static str,
    /// Whether it differs between two runs of the same experiment at the same seed: times, memory
    /// and machines.
    pub varies: bool,
}

/// The types that the frames use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A signed 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// True or false.
    Bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Text => "text",
            Kind::Int => "int64",
            Kind::Float => "float64",
            Kind::Bool => "bool",
        })
    }
}

/// A Markdown section: what `query --schema` prints and `docs/results.md` holds.
impl fmt::Display for TableSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n\nOne row is {}.\n", self.name, self.row)?;
        writeln!(f, "| column | type | unit | meaning |\n|---|---|---|---|")?;
        for ColumnSchema { name, kind, unit, meaning, .. } in self.columns {
            writeln!(f, "| `{name}` | {kind} | {unit} | {meaning} |")?;
        }
        if self.name == "runs" {
            let meaning =
                "the value of the axis NAME in this run; null where the run does not vary it";
            writeln!(f, "| `{AXIS_PREFIX}NAME` | {} | | {meaning} |", Kind::Text)?;
        }
        Ok(())
    }
}

/// All tables, in the order in which they are documented.
#[must_use]
pub fn schema() -> Vec<TableSchema> {
    vec![
        TableSchema {
            name: "runs",
            row: "one run: one trial of an experiment at one seed",
            columns: RUNS,
        },
        TableSchema { name: "metrics", row: "one value logged while training", columns: METRICS },
        TableSchema { name: "scores", row: "one benchmark's score of a run", columns: SCORES },
        TableSchema {
            name: "samples",
            row: "one answer to one benchmark question",
            columns: SAMPLES,
        },
    ]
}

const fn column(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    meaning: &'static str,
) -> ColumnSchema {
    ColumnSchema { name, kind, unit, meaning, varies: false }
}

const fn varying(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    meaning: &'static str,
) -> ColumnSchema {
    ColumnSchema { name, kind, unit, meaning, varies: true }
}

use Kind::{Bool, Float, Int, Text};

const RUN: ColumnSchema = column("run", Text, "", "the run's id; joins all tables");
const BENCHMARK: ColumnSchema = column("benchmark", Text, "", "the benchmark's name");
const BLIND: ColumnSchema = column(
    "blind",
    Bool,
    "",
    "true: scored with the image withheld, so only the question was seen",
);

const RUNS: &[ColumnSchema] = &[
    RUN,
    column("experiment", Text, "", "the experiment's name"),
    column("study", Text, "", "the study that the run belongs to; null for a single experiment"),
    column("trial", Text, "", "the row of the study; the same over seeds"),
    column("position", Int, "", "the trial's place in its study, from 0; null for an experiment"),
    column("seed", Int, "", "the root seed"),
    column("status", Text, "", "running, done, failed or interrupted"),
    column("error", Text, "", "why it failed; null unless it did"),
    varying("started", Text, "RFC 3339", "when it started"),
    varying("finished", Text, "RFC 3339", "when it ended; null while it runs"),
    varying("seconds", Float, "s", "time spent, without pauses"),
    varying("peak_bytes", Int, "byte", "most memory held at once"),
    column("parameters_trained", Int, "parameter", "parameters that some stage updates"),
    column("parameters_frozen", Int, "parameter", "parameters that no stage updates"),
    column("visual_tokens", Int, "token/image", "tokens that the LLM reads before the text"),
    column(
        "forward_flops",
        Int,
        "FLOP/sample",
        "of one forward pass over one sample of the last stage's length; null in old runs",
    ),
    column("steps", Int, "optimiser step", "of all its stages, wherever they were trained"),
    column(
        "steps_from_scratch",
        Int,
        "optimiser step",
        "and of all stages of the experiments that it takes weights from",
    ),
    varying("samples_per_second", Float, "1/s", "training samples a second"),
    varying("commit", Text, "", "the commit of the code; null outside a repository"),
    column("version", Text, "", "the version of eagle-lab"),
    varying("command", Text, "", "the command that started it"),
    varying("os", Text, "", "the machine's operating system"),
    varying("arch", Text, "", "the machine's architecture"),
    varying("threads", Int, "thread", "threads used"),
];

const METRICS: &[ColumnSchema] = &[
    RUN,
    column("stage", Text, "", "the stage's name"),
    column("step", Int, "optimiser step", "counted within the stage"),
    column("name", Text, "", "what was logged: loss, lr, …"),
    column("value", Float, "of its name", "null where it was not a finite number"),
];

const SCORES: &[ColumnSchema] = &[
    RUN,
    BENCHMARK,
    column("metric", Text, "", "which of the benchmark's metrics"),
    BLIND,
    column("value", Float, "of its metric", "the score; accuracies lie in 0..1"),
    column("n", Int, "sample", "samples, or groups of them, that it was computed over"),
    column("standard_error", Float, "of its metric", "over those samples; null where unknown"),
    column("main", Bool, "", "whether it is the metric that tables show of this benchmark"),
    column("low", Float, "of its metric", "where the 95 % confidence interval begins"),
    column("high", Float, "of its metric", "where it ends; both null where unknown"),
    column(
        "n_undecided",
        Int,
        "sample",
        "answers of the benchmark that its rules can't judge; they score 0",
    ),
    column("chance", Float, "of its metric", "expected of a guess; null where unknown"),
    column("maximum", Float, "of its metric", "the best value; null in runs of older versions"),
];

const SAMPLES: &[ColumnSchema] = &[
    RUN,
    BENCHMARK,
    BLIND,
    column("sample", Text, "", "the sample's id within the benchmark"),
    column("question", Text, "", "as it was asked"),
    column("prediction", Text, "", "as the model answered"),
    column("answer", Text, "", "the reference answer"),
    column("score", Float, "of its metric", "of this one answer; 0..1 for accuracies"),
    column("correct", Bool, "", "null where the benchmark has no such notion"),
    column("parsed", Text, "", "what the rules understood: a letter, a number; null without"),
    column("undecided", Bool, "", "true: the rules can't tell what was answered; it scores 0"),
    column("category", Text, "", "the subset that the question is also reported under, if any"),
    column("group_id", Text, "", "questions of one group count together; null without"),
];
