//! `Mixture`: several data sets as one.
//!
//! ```ron
//! Mixture(sources: [
//!     (data: LlavaJson(path: "llava_v1_5_mix665k.json", images: "images")),
//!     (data: LlavaJson(path: "docvqa.json", images: "docvqa"), samples: 39000, suffix: "Answer briefly."),
//!     (data: LlavaJson(path: "ai2d.json", images: "ai2d"), repeat: 2),
//! ])
//! ```
//!
//! Samples stand in the order of the sources; a stage shuffles them. Which ones of a source are taken
//! depends on the seed, on the source and on how many they are, not on the sources beside it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Sample};
use eagle_core::registry::{DatasetConfig, Misfit, NestedData};
use eagle_core::seed::Rng;
use serde::{Deserialize, Serialize};

eagle_core::config! {
    /// Several data sets as one, each whole or in part, once or repeatedly, with its own prompt.
    pub struct Mixture {
        /// In order, each `(data: Name(…), samples: 39000, repeat: 1, prefix: "", suffix: "")`:
        /// how many samples are drawn from it (none given: all), how often each of them is in the
        /// mixture, and what stands before and after each question, on a line of its own.
        sources: Vec<Source> = Vec::new(),
        /// Another seed, other samples where a source gives only some.
        seed: u64 = 0,
    }
}

eagle_core::register!(dataset Mixture);

/// One data set of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where samples come from.
    pub data: NestedData,
    /// How many of them are drawn; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// How often each of them is in the mixture.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeat: usize,
    /// What stands before each question.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// What stands after each question.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
}

fn once() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_once(repeat: &usize) -> bool {
    *repeat == 1
}

impl DatasetConfig for Mixture {
    fn validate(&self) -> Result<(), Misfit> {
        if self.sources.is_empty() {
            let misfit = Misfit::field("sources", "names no data set");
            return Err(misfit.help("write `sources: [(data: Name(…)), …]`"));
        }
        for (number, source) in self.sources.iter().enumerate() {
            if source.samples == Some(0) || source.repeat == 0 {
                let message = format!("number {number} gives no sample");
                let help = "`samples` and `repeat` are at least 1; remove what isn't wanted";
                return Err(Misfit::field("sources", message).help(help));
            }
        }
        Ok(())
    }

    fn nested(&mut self) -> Vec<(String, &mut NestedData)> {
        let sources = self.sources.iter_mut().enumerate();
        sources.map(|(at, source)| (format!("/sources/{at}/data"), &mut source.data)).collect()
    }

    fn annotates(&self) -> bool {
        self.sources.iter().all(|source| source.data.annotates())
    }

    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let mut parts = Vec::new();
        let mut starts = vec![0];
        for (number, source) in self.sources.iter().enumerate() {
            let part = Part::open(source, number, self.seed, base)?;
            starts.push(starts[number] + part.len() * source.repeat);
            parts.push(part);
        }
        Ok(Arc::new(Mixed { parts, starts }))
    }
}

/// An open mixture.
#[derive(Debug)]
struct Mixed {
    parts: Vec<Part>,
    /// The first sample of each part, and the number of samples.
    starts: Vec<usize>,
}

/// An open source.
#[derive(Debug)]
struct Part {
    data: Arc<dyn Dataset>,
    /// The samples that are drawn, in order; all of them if there is no list.
    drawn: Option<Vec<u32>>,
    prefix: String,
    suffix: String,
}

impl Part {
    fn open(source: &Source, number: usize, seed: u64, base: &Path) -> Result<Part, DataError> {
        let data = source.data.open(base)?;
        let len = data.len();
        let wanted = source.samples.unwrap_or(len);
        if wanted > len || u32::try_from(len).is_err() {
            return Err(DataError::File {
                path: base.to_owned(),
                detail: format!(
                    "source {number} of the mixture has {len} samples, fewer than the {wanted} \
                     that are wanted; `repeat` takes samples more than once"
                ),
            });
        }
        let drawn = (wanted < len).then(|| {
            let mut all: Vec<u32> = (0..len as u32).collect();
            Rng::of(seed, &format!("mixture {}", source.data.identity())).shuffle(&mut all);
            all.truncate(wanted);
            all.sort_unstable();
            all
        });
        let (prefix, suffix) = (source.prefix.clone(), source.suffix.clone());
        Ok(Part { data, drawn, prefix, suffix })
    }

    fn len(&self) -> usize {
        self.drawn.as_ref().map_or(self.data.len(), Vec::len)
    }

    /// The data set's index of sample number `at`.
    fn index(&self, at: usize) -> usize {
        self.drawn.as_ref().map_or(at, |drawn| drawn[at] as usize)
    }

    fn prompts(&self) -> bool {
        !(self.prefix.is_empty() && self.suffix.is_empty())
    }

    /// A question with what stands before and after it, `<image>` staying outside.
    fn prompted(&self, question: &str) -> String {
        const IMAGE: &str = "<image>";
        let (before, rest) = match question.trim_start().strip_prefix(IMAGE) {
            Some(rest) => ("<image>\n", rest),
            None => ("", question),
        };
        let (text, after) = match rest.trim_end().strip_suffix(IMAGE) {
            Some(text) => (text, "\n<image>"),
            None => (rest, ""),
        };
        let lines = [self.prefix.as_str(), text.trim(), self.suffix.as_str()];
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        format!("{before}{}{after}", lines.join("\n"))
    }
}

impl Mixed {
    /// Its part, the data set's index there, and which repetition it is.
    fn place(&self, index: usize) -> (usize, usize, usize) {
        let part = self.starts.partition_point(|start| *start <= index) - 1;
        let (at, len) = (index - self.starts[part], self.parts[part].len());
        (part, self.parts[part].index(at % len), at / len)
    }
}

impl Dataset for Mixed {
    fn len(&self) -> usize {
        self.starts[self.parts.len()]
    }

    /// Its id says the source's number, the source's id and, behind `+`, the repetition.
    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let (number, index, again) = self.place(index);
        let part = &self.parts[number];
        let mut sample = part.data.sample(index).map_err(|error| named(number, error))?;
        sample.id = format!("{number}/{}", sample.id);
        if again > 0 {
            sample.id = format!("{}+{again}", sample.id);
        }
        if part.prompts() {
            for turn in &mut sample.turns {
                turn.question = part.prompted(&turn.question);
            }
        }
        Ok(sample)
    }

    /// Of the sources' content; what is drawn of them is part of the configuration.
    fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in &self.parts {
            hasher.update(part.data.fingerprint().as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Those of the samples that are drawn.
    fn problems(&self) -> Vec<DataError> {
        let of = |(number, part): (usize, &Part)| -> Vec<DataError> {
            let mut problems = part.data.problems();
            if let Some(drawn) = part.drawn.as_ref().filter(|_| !problems.is_empty()) {
                let id = |index: &u32| match part.data.sample(*index as usize) {
                    Ok(sample) => sample.id,
                    Err(DataError::Sample { sample, .. }) => sample,
                    Err(_) => String::new(),
                };
                let drawn: BTreeSet<String> = drawn.iter().map(id).collect();
                problems.retain(|problem| match problem {
                    DataError::Sample { sample, .. } => drawn.contains(sample),
                    _ => true,
                });
            }
            problems.into_iter().map(|problem| named(number, problem)).collect()
        };
        self.parts.iter().enumerate().flat_map(of).collect()
    }

    fn words(&self, index: usize) -> Result<i32, DataError> {
        let (number, index, _) = self.place(index);
        let part = &self.parts[number];
        let words = part.data.words(index).map_err(|error| named(number, error))?;
        if !part.prompts() {
            return Ok(words);
        }
        let turns = part.data.sample(index).map_err(|error| named(number, error))?.turns.len();
        let more = eagle_core::data::words(&part.prefix) + eagle_core::data::words(&part.suffix);
        Ok(words + words.signum() * i32::try_from(more * turns).unwrap_or(0))
    }

    fn remarks(&self, index: usize) -> Vec<String> {
        let (number, index, _) = self.place(index);
        self.parts[number].data.remarks(index)
    }

    fn source(&self, index: usize) -> String {
        let (number, index, _) = self.place(index);
        let inner = self.parts[number].data.source(index);
        if inner.is_empty() { number.to_string() } else { format!("{number}/{inner}") }
    }
}

/// The same error, its sample named as the mixture names it.
fn named(number: usize, error: DataError) -> DataError {
    match error {
        DataError::Sample { sample, detail } => {
            DataError::Sample { sample: format!("{number}/{sample}"), detail }
        }
        other => other,
    }
}
