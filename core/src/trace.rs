//! One forward pass on given tensors, every node's output by its id: to compare with a reference, or
//! to extract features.
//!
//! Inputs: `image.ID` `[B, 3, S, S]`, as the encoder `ID` wants it, or `image` for all encoders of
//! that size; with fixed tiles `[B, tiles, 3, S, S]`, with adaptive ones `[tiles, 3, S, S]` of all
//! pictures and `image_sizes` `[B, 2]`, their own heights and widths; `ids` `[B, T]`, token ids with -200 where a picture stands, as LLaVA writes it.
//! Outputs: `ID` for every node (of the LLM its logits `[B, T, V]`), `ID.pyramid.I`; and with all
//! of them `ID.blocks.I`, and `ID.hidden`, what the LLM's logits are computed from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::data::tiles::Layout;
use crate::graph::Graph;
use crate::model::{Blocks, Model};
use crate::nn::ops::{self, Activation, Row};
use crate::registry::{NoTap, Plugin, Tap};
use crate::spec::problem::listed;
use crate::tensor::{Tensor, TensorError};
use crate::weights::{Bundle, Files, WeightsError};

/// What stands for the picture among token ids.
const IMAGE: f32 = -200.0;

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The inputs are not what the experiment reads.
    #[error("the inputs in {path} don't fit the experiment:{}", lines(.problems), path = path.display())]
    Inputs {
        /// Their file.
        path: PathBuf,
        /// Everything that is wrong with them.
        problems: Vec<String>,
    },
    /// They can't be read.
    #[error(transparent)]
    Files(#[from] WeightsError),
    /// An operation failed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// What a forward pass reads.
#[derive(Debug)]
pub struct Inputs {
    /// One tensor for each of the model's [images](Model::images); none without pictures.
    images: Vec<Tensor>,
    /// How each picture is cut, where that depends on it.
    layouts: Vec<Layout>,
    /// The LLM's sequences, row by row, and how many there are.
    rows: Option<(Vec<Row>, usize)>,
}

/// Reads inputs and holds them against the experiment.
///
/// # Errors
/// The file can't be read, or everything that is missing, surplus or of a wrong shape.
pub fn inputs(graph: &Graph, model: &Model, files: &Files) -> Result<Inputs, TraceError> {
    let mut reader = Reader { graph, model, files, used: Vec::new(), problems: Vec::new() };
    let images = reader.images()?;
    let seen = images.first().map_or(0, |image| image.shape()[0]);
    let layouts = reader.layouts(seen)?;
    let pictures = if graph.tiles().is_some() { layouts.len() } else { seen };
    let rows = reader.rows(pictures, &layouts)?;
    reader.surplus();
    if images.is_empty() && rows.is_none() && reader.problems.is_empty() {
        reader.problems.push(format!("neither pictures nor `ids`; {}", reader.wanted()));
    }
    if !reader.problems.is_empty() {
        let path = files.path().to_owned();
        return Err(TraceError::Inputs { path, problems: reader.problems });
    }
    Ok(Inputs { images, layouts, rows })
}

struct Reader<'a> {
    graph: &'a Graph,
    model: &'a Model,
    files: &'a Files,
    used: Vec<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The encoders that read the model's image number `spec`.
    fn encoders(&self, spec: usize) -> Vec<&str> {
        let nodes = self.graph.order.iter().map(|&index| &self.graph.dag[index]);
        let reads = nodes.filter(|node| match &node.plugin {
            Plugin::Encoder(config) => config.image() == self.model.images[spec],
            _ => false,
        });
        reads.map(|node| node.id.as_str()).collect()
    }

    fn wanted(&self) -> String {
        let one = |spec: usize| {
            let names = self.encoders(spec).into_iter().map(|id| format!("image.{id}"));
            format!("{} {}", listed(&names.collect::<Vec<_>>()), self.shape(spec).0)
        };
        let images: Vec<String> = (0..self.model.images.len()).map(one).collect();
        match images.is_empty() {
            true => "give `ids` [B, T]".into(),
            false => {
                let sizes =
                    if self.graph.tiles().is_some() { ", `image_sizes` [B, 2]" } else { "" };
                let images = images.join(", ");
                format!("give {images} (or `image` for all of one size){sizes}, `ids` [B, T]")
            }
        }
    }

    /// What the model's image number `spec` looks like: in words, and all axes but the first.
    fn shape(&self, spec: usize) -> (String, Vec<usize>) {
        let image = &self.model.images[spec];
        let (size, tiles) = (image.size, image.planes() / 3);
        let (first, axes) = match (&image.tiles, image.adaptive()) {
            (_, Some(_)) => ("tiles", vec![3, size, size]),
            (Some(_), None) => ("B", vec![tiles, 3, size, size]),
            (None, None) => ("B", vec![3, size, size]),
        };
        let sizes: Vec<String> = axes.iter().map(usize::to_string).collect();
        (format!("[{first}, {}]", sizes.join(", ")), axes)
    }

    /// How the pictures are cut of which there are `tiles` tiles.
    fn layouts(&mut self, tiles: usize) -> Result<Vec<Layout>, TraceError> {
        let Some(rule) = self.graph.tiles().filter(|_| tiles > 0) else { return Ok(Vec::new()) };
        let Some(shape) = self.files.shape("image_sizes").map(<[usize]>::to_vec) else {
            self.problems.push("no `image_sizes` [B, 2], the pictures' heights and widths".into());
            return Ok(Vec::new());
        };
        self.used.push("image_sizes".into());
        let sizes = self.files.values("image_sizes")?;
        let whole = |size: &f32| *size >= 1.0 && size.fract() == 0.0 && *size < 1e9;
        if shape.len() != 2 || shape[1] != 2 || !sizes.iter().all(whole) {
            let message = "not [B, 2], the pictures' heights and widths in pixels";
            self.problems.push(format!("`image_sizes` is {shape:?}: {message}"));
            return Ok(Vec::new());
        }
        let cut = |size: &[f32]| rule.choose((size[1] as u32, size[0] as u32));
        let layouts: Vec<Layout> = sizes.chunks_exact(2).map(cut).collect();
        let counts: Vec<usize> = layouts.iter().map(Layout::count).collect();
        if counts.iter().sum::<usize>() != tiles {
            let message = format!("pictures of `image_sizes` have {counts:?} tiles");
            self.problems.push(format!("{message}, together not {tiles}"));
        }
        Ok(layouts)
    }

    fn images(&mut self) -> Result<Vec<Tensor>, TraceError> {
        let mut images: Vec<Tensor> = Vec::new();
        let mut missing = Vec::new();
        for spec in 0..self.model.images.len() {
            let (wanted, axes) = self.shape(spec);
            let mut names: Vec<String> =
                self.encoders(spec).iter().map(|id| format!("image.{id}")).collect();
            names.push("image".into());
            let Some(name) = names.iter().find(|name| self.files.shape(name).is_some()) else {
                missing.push(format!("no `{}` {wanted}, nor `image`", names[0]));
                continue;
            };
            let shape = self.files.shape(name).unwrap_or_default().to_vec();
            self.used.push(name.clone());
            if shape.get(1..) != Some(&axes[..]) || shape[0] == 0 {
                let who = listed(&self.encoders(spec));
                self.problems.push(format!("`{name}` is {shape:?}; {who} read {wanted}"));
                continue;
            }
            if let Some(first) = images.first().filter(|first| first.shape()[0] != shape[0]) {
                let message =
                    format!("`{name}` has {} pictures, others {}", shape[0], first.shape()[0]);
                self.problems.push(message);
            }
            let image = &self.model.images[spec];
            let shape = [shape[0], image.planes(), image.size, image.size];
            images.push(Tensor::new(self.model.dev(), self.files.values(name)?, &shape)?);
        }
        // Text alone needs no pictures.
        let text_alone =
            images.is_empty() && self.used.is_empty() && self.files.shape("ids").is_some();
        if !text_alone && missing.len() < self.model.images.len() {
            self.problems.extend(missing);
        }
        Ok(images)
    }

    fn rows(
        &mut self,
        pictures: usize,
        layouts: &[Layout],
    ) -> Result<Option<(Vec<Row>, usize)>, TraceError> {
        // Without an LLM nothing reads them, which is said of what is surplus.
        let ids = self.graph.llm.and_then(|_| self.files.shape("ids"));
        let Some(shape) = ids else { return Ok(None) };
        self.used.push("ids".into());
        let &[batch, length] = shape else {
            self.problems.push(format!("`ids` is {shape:?}, not [B, T]"));
            return Ok(None);
        };
        if batch == 0 || length == 0 {
            self.problems.push(format!("`ids` is {shape:?}: no tokens"));
            return Ok(None);
        }
        let ids = self.files.values("ids")?;
        let shown = self.check_ids(&ids, length, pictures);
        let tokens = self.graph.visual();
        let visual = tokens.of(layouts.first());
        if shown > 0 && layouts.iter().any(|layout| tokens.of(Some(layout)) != visual) {
            let message = "`ids` are sequences of one length, and these pictures' visual tokens";
            self.problems.push(format!("{message} differ in number: trace them one by one"));
        }
        let positions = if shown > 0 { length - 1 + visual } else { length };
        let context = self.graph.context();
        if positions > context {
            self.problems
                .push(format!("{positions} positions are beyond the context of {context}"));
        }
        let (mut rows, mut picture) = (Vec::new(), 0);
        for id in ids {
            if id == IMAGE {
                rows.extend((picture * visual..(picture + 1) * visual).map(Row::Visual));
                picture += 1;
            } else {
                rows.push(Row::Token(id as u32));
            }
        }
        Ok(Some((rows, batch)))
    }

    /// Finds what is wrong with the ids of sequences; the number of pictures that they show.
    fn check_ids(&mut self, ids: &[f32], length: usize, pictures: usize) -> usize {
        let marks: Vec<usize> =
            ids.chunks(length).map(|ids| ids.iter().filter(|id| **id == IMAGE).count()).collect();
        if marks.iter().any(|count| *count > 1 || *count != marks[0]) {
            self.problems.push("every sequence of `ids` says -200 once, or none does".into());
        }
        let shown: usize = marks.iter().sum();
        if shown > 0 && shown != pictures {
            self.problems.push(format!("`ids` says -200 {shown} times for {pictures} pictures"));
        }
        if shown > 0 && self.graph.visual_tokens() == 0 {
            self.problems.push("`ids` says -200, and the LLM reads no pictures".into());
        }
        let llm = self.graph.llm.map(|llm| &self.graph.dag[llm]);
        let vocabulary = llm.and_then(|llm| llm.output.vocabulary()).unwrap_or(0);
        let known = |id: &f32| {
            *id == IMAGE || (id.fract() == 0.0 && *id >= 0.0 && (*id as usize) < vocabulary)
        };
        if let Some(at) = ids.iter().position(|id| !known(id)) {
            let (row, column) = (at / length, at % length);
            self.problems.push(format!(
                "`ids`[{row}, {column}] is {}: no token of {vocabulary}, nor -200 for the picture",
                ids[at]
            ));
        }
        shown
    }

    fn surplus(&mut self) {
        let unused = self.files.names().filter(|name| !self.used.iter().any(|used| used == name));
        let unused: Vec<String> = unused.map(|name| format!("`{name}` is not read")).collect();
        if !unused.is_empty() {
            self.problems.extend(unused);
            self.problems.push(self.wanted());
        }
    }
}

/// Runs the model; with `blocks`, what every block gives is there, too.
///
/// # Errors
/// A plugin broke its promise, or the device fails.
pub fn trace(
    graph: &Graph,
    model: &Model,
    inputs: &Inputs,
    blocks: bool,
) -> Result<Bundle, TraceError> {
    let mut found = BTreeMap::new();
    let mut look = |name: &str, x: &Tensor| {
        found.insert(name.to_owned(), (x.shape().to_vec(), x.host().into_owned()));
    };
    let visual = match inputs.images.is_empty() {
        true => None,
        false if graph.llm.is_none() => {
            model.features_tapped(&inputs.images, blocks, &mut look)?;
            None
        }
        false => Some(model.see_tapped(&inputs.images, &inputs.layouts, blocks, &mut look)?),
    };
    if let Some((rows, batch)) = &inputs.rows {
        let id = graph.llm.map_or("", |llm| &graph.dag[llm].id);
        let mut tap: Box<dyn Tap + '_> = match blocks {
            true => Box::new(Blocks { node: id, look: &mut look }),
            false => Box::new(NoTap),
        };
        let hidden = model.read(visual.as_ref(), rows, *batch, None, tap.as_mut())?;
        drop(tap);
        if blocks {
            look(&format!("{id}.hidden"), &hidden);
        }
        let head = model.llm()?.head().tensor();
        look(id, &ops::linear(&hidden, &head, None, Activation::None)?);
    }
    Ok(Bundle { tensors: found, ..Bundle::default() })
}
