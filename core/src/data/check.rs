//! Reading everything of a data set once: every problem with its sample's id, and what there is.
//!
//! A *problem* keeps a sample from being learnt from, or teaches something wrong; a *remark* says what
//! was left out, put right or repeated.

use std::collections::BTreeMap;
use std::fmt::Write;

use rayon::prelude::*;
use serde::Serialize;

use super::preprocess::decode;
use super::{DataError, Dataset, Picture, Sample, words};

/// Pictures with one side so many times the other are taken for broken.
const EXTREME: u32 = 20;

/// Samples between two reports of progress.
const AT_ONCE: usize = 512;

/// What is found out of one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The sample's id.
    pub sample: String,
    /// What it is about: `sample`, `picture`, `placeholder`, `answer`, `length`, `remark`.
    pub kind: &'static str,
    /// What is wrong, and what would be right.
    pub detail: String,
    /// Whether it is wrong, or only worth knowing.
    pub problem: bool,
}

/// Tokens of a sample's sequence, or why it can't be one.
pub type Length<'a> = dyn Fn(&Sample) -> Result<usize, DataError> + Sync + 'a;

/// How long a sequence may be.
pub struct Limit<'a> {
    /// Of a sample.
    pub length: &'a Length<'a>,
    /// The most tokens.
    pub most: usize,
    /// Whether longer ones are cut or left out on purpose.
    pub expected: bool,
}

/// What there is of one source.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Its number in a mixture; empty where there is one.
    pub source: String,
    /// Samples.
    pub samples: usize,
    /// Samples with a picture.
    pub pictures: usize,
    /// Samples without.
    pub text_only: usize,
    /// Questions with their answers.
    pub turns: usize,
    /// Words per sample.
    pub words: Spread,
    /// Tokens per sample, visual ones included; where a tokenizer is known.
    pub tokens: Option<Spread>,
    /// Shorter sides of pictures, in pixels.
    pub sides: Spread,
    /// Samples that can't be used.
    pub broken: usize,
}

/// How numbers are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Their sum.
    pub total: u64,
    /// Half of them are at most this.
    pub p50: u32,
    /// Nine of ten are.
    pub p90: u32,
    /// 99 of 100 are.
    pub p99: u32,
    /// The largest.
    pub most: u32,
}

/// What a reading of everything gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the order of the samples.
    pub findings: Vec<Finding>,
    /// In the order of the sources.
    pub sources: Vec<Summary>,
}

impl Report {
    /// Findings that are problems.
    pub fn problems(&self) -> usize {
        self.findings.iter().filter(|finding| finding.problem).count()
    }
}

/// What one sample adds to a report.
#[derive(Default)]
struct Part {
    source: String,
    findings: Vec<Finding>,
    turns: Option<u32>,
    words: u32,
    tokens: Option<u32>,
    side: Option<u32>,
    pictured: bool,
}

/// Reads every sample, in parallel; `progress` hears how many are done.
pub fn check(
    dataset: &dyn Dataset,
    limit: Option<&Limit<'_>>,
    progress: &mut dyn FnMut(usize),
) -> Report {
    let mut report = Report::default();
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    let mut done = 0;
    while done < dataset.len() {
        let some = done..(done + AT_ONCE).min(dataset.len());
        done = some.end;
        let parts: Vec<Part> =
            some.into_par_iter().map(|index| part(dataset, index, limit)).collect();
        for part in parts {
            gathered.entry(part.source.clone()).or_default().add(&part);
            report.findings.extend(part.findings);
        }
        progress(done);
    }
    report.sources = gathered.into_iter().map(|(source, all)| all.summary(source)).collect();
    report
}

fn part(dataset: &dyn Dataset, index: usize, limit: Option<&Limit<'_>>) -> Part {
    let mut part = Part { source: dataset.source(index), ..Part::default() };
    let sample = match dataset.sample(index) {
        Ok(sample) => sample,
        Err(error) => {
            let (sample, detail) = match error {
                DataError::Sample { sample, detail } => (sample, detail),
                other => (format!("#{index}"), other.to_string()),
            };
            part.findings.push(Finding { sample, kind: "sample", detail, problem: true });
            return part;
        }
    };
    let mut say = |kind, detail: String, problem| {
        part.findings.push(Finding { sample: sample.id.clone(), kind, detail, problem });
    };
    dataset.remarks(index).into_iter().for_each(|remark| say("remark", remark, false));
    for fault in conversation(&sample) {
        say(fault.0, fault.1, true);
    }
    if let Some(picture @ (Picture::File(_) | Picture::Bytes(_))) = &sample.picture {
        match picture_of(picture) {
            Ok((width, height)) => {
                part.side = Some(width.min(height));
                if width.max(height) > EXTREME * width.min(height) {
                    say("picture", format!("{width} x {height} pixels: extreme"), true);
                }
            }
            Err(detail) => say("picture", detail, true),
        }
    }
    if let Some(limit) = limit {
        match (limit.length)(&sample) {
            Ok(tokens) => {
                part.tokens = Some(u32::try_from(tokens).unwrap_or(u32::MAX));
                if tokens > limit.most {
                    let detail = format!("{tokens} tokens, more than {}", limit.most);
                    say("length", detail, !limit.expected);
                }
            }
            Err(DataError::Sample { detail, .. }) => say("length", detail, true),
            Err(error) => say("length", error.to_string(), true),
        }
    }
    let turns = sample.turns.iter();
    let count: usize = turns.map(|turn| words(&turn.question) + words(&turn.answer)).sum();
    part.words = u32::try_from(count).unwrap_or(u32::MAX);
    part.turns = Some(sample.turns.len() as u32);
    part.pictured = sample.picture.is_some();
    part
}

/// What is wrong with what is said.
fn conversation(sample: &Sample) -> Vec<(&'static str, String)> {
    const IMAGE: &str = "<image>";
    let mut faults = Vec::new();
    if sample.turns.is_empty() {
        faults.push(("sample", "it has no turns".to_owned()));
    }
    for (at, turn) in sample.turns.iter().enumerate() {
        if turn.answer.trim().is_empty() {
            faults.push(("answer", format!("the answer of turn {at} is empty")));
        }
        if turn.answer.contains(IMAGE) {
            faults.push(("placeholder", format!("the answer of turn {at} says `<image>`")));
        }
    }
    let said: usize = sample.turns.iter().map(|turn| turn.question.matches(IMAGE).count()).sum();
    match (said, &sample.picture) {
        (1.., None) => {
            faults.push(("placeholder", "it says `<image>`, but has no picture".to_owned()));
        }
        (2.., Some(_)) => {
            faults
                .push(("placeholder", format!("it says `<image>` {said} times, for one picture")));
        }
        // A drawn picture's place is known without one.
        (0, Some(Picture::File(_) | Picture::Bytes(_))) => {
            let detail = "it has a picture, but says `<image>` nowhere".to_owned();
            faults.push(("placeholder", detail));
        }
        _ => {}
    }
    faults
}

/// A picture's size, once all of it was decoded.
fn picture_of(picture: &Picture) -> Result<(u32, u32), String> {
    let (bytes, name) = match picture {
        Picture::Bytes(bytes) => (bytes.clone(), String::new()),
        Picture::File(path) => {
            let name = format!("{}: ", path.display());
            let bytes = std::fs::read(path).map_err(|error| format!("{name}{error}"))?;
            (bytes.into(), name)
        }
        Picture::Drawn(_) => return Ok((1, 1)),
    };
    // The decoder fills what is missing with grey.
    let jpeg = bytes.starts_with(&[0xff, 0xd8]);
    if jpeg && !bytes.windows(2).any(|two| two == [0xff, 0xd9]) {
        return Err(format!("{name}the file is cut off: it has no end of image"));
    }
    let image = decode(&Picture::Bytes(bytes)).map_err(|error| format!("{name}{error}"))?;
    match image.dimensions() {
        (0, _) | (_, 0) => Err(format!("{name}it has no pixels")),
        size => Ok(size),
    }
}

/// The numbers of one source.
#[derive(Default)]
struct Gathered {
    summary: Summary,
    words: Vec<u32>,
    tokens: Vec<u32>,
    sides: Vec<u32>,
}

impl Gathered {
    fn add(&mut self, part: &Part) {
        self.summary.samples += 1;
        self.summary.broken += usize::from(part.findings.iter().any(|finding| finding.problem));
        let Some(turns) = part.turns else { return };
        self.summary.turns += turns as usize;
        self.summary.pictures += usize::from(part.pictured);
        self.summary.text_only += usize::from(!part.pictured);
        self.words.push(part.words);
        self.tokens.extend(part.tokens);
        self.sides.extend(part.side);
    }

    fn summary(self, source: String) -> Summary {
        let tokens = (!self.tokens.is_empty()).then(|| spread(self.tokens));
        let (words, sides) = (spread(self.words), spread(self.sides));
        Summary { source, words, sides, tokens, ..self.summary }
    }
}

/// Nearest ranks.
fn spread(mut numbers: Vec<u32>) -> Spread {
    numbers.sort_unstable();
    let rank = |percent: usize| {
        let at = (numbers.len() * percent).div_ceil(100);
        numbers.get(at.saturating_sub(1)).copied().unwrap_or(0)
    };
    let total = numbers.iter().map(|number| u64::from(*number)).sum();
    Spread { total, p50: rank(50), p90: rank(90), p99: rank(99), most: rank(100) }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for finding in &self.findings {
            let Finding { sample, kind, detail, problem } = finding;
            let mark = if *problem { "problem" } else { "remark" };
            let kind = if *kind == mark { String::new() } else { format!(" ({kind})") };
            writeln!(text, "{mark}{kind}: sample {sample:?}: {detail}")?;
        }
        for one in &self.sources {
            let name = match one.source.as_str() {
                "" => String::new(),
                number => format!("source {number}: "),
            };
            let Summary { samples, pictures, text_only, turns, broken, .. } = one;
            writeln!(
                text,
                "{name}{samples} samples: {pictures} with a picture, {text_only} of text alone, \
                 {turns} turns; {broken} with a problem"
            )?;
            writeln!(text, "  words: {}", one.words)?;
            if let Some(tokens) = &one.tokens {
                writeln!(text, "  tokens: {tokens}")?;
            }
            if one.sides.most > 0 {
                writeln!(text, "  pictures' shorter sides: {}", one.sides)?;
            }
        }
        f.write_str(&text)
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Spread { total, p50, p90, p99, most } = self;
        write!(f, "{total} in all, median {p50}, 90 % {p90}, 99 % {p99}, most {most}")
    }
}
