//! Which encoders of a model have a shelf, and completing a batch from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use half::f16;
use serde_json::json;

use super::{FeatureCache, Shelf, ShelfError, Shelves};
use crate::data::preprocess::ImageSpec;
use crate::identity;
use crate::model::{Model, ModelNode, SeeError, Seen};
use crate::registry::Features;
use crate::tensor::{Result as TensorResult, Tensor, TensorError};
use crate::train::loader::Batch;

/// Features of encoders by position in [`Model::nodes`].
pub type Given = BTreeMap<usize, Features>;

/// The frozen encoders whose features are kept. Loaders read it while a trainer writes it.
#[derive(Debug)]
pub struct Frozen {
    /// In the order of the model's nodes.
    pub encoders: Vec<Kept>,
    /// The images that encoders without a shelf read.
    others: Vec<usize>,
    /// The most tiles of a picture, where each is a picture of its own to the encoders; else 1.
    tiles: usize,
    /// Pictures times encoders that came from a shelf.
    recalled: AtomicUsize,
    /// Pictures times encoders that were computed.
    encoded: AtomicUsize,
}

/// A frozen encoder with its shelf.
#[derive(Debug)]
pub struct Kept {
    /// Its position in [`Model::nodes`].
    pub node: usize,
    /// The position of its image among [`Model::images`].
    pub image: usize,
    shelf: Shelf,
    precision: FeatureCache,
    grid: Option<(usize, usize)>,
    /// Shapes of the map and the levels of the pyramid, of one picture.
    shapes: Vec<Vec<usize>>,
}

/// How much a stage read from shelves, in pictures times encoders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recall {
    /// Read.
    pub recalled: usize,
    /// Computed.
    pub encoded: usize,
}

impl std::ops::Add for Recall {
    type Output = Recall;
    fn add(self, other: Recall) -> Recall {
        Recall { recalled: self.recalled + other.recalled, encoded: self.encoded + other.encoded }
    }
}

impl Frozen {
    /// Opens a shelf for each encoder of `model` that `frozen` says of, for a data set of `samples`
    /// samples with this fingerprint. A picture and its mirror image have slots of their own.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        model: &Model,
        frozen: &dyn Fn(&ModelNode) -> bool,
        shelves: &Shelves,
        precision: FeatureCache,
        (samples, fingerprint): (usize, &str),
    ) -> Result<Frozen, ShelfError> {
        let (mut encoders, mut others) = (Vec::new(), Vec::new());
        let tiles = tiles(model);
        for (node, module) in model.nodes.iter().enumerate() {
            let Some(promise) = model.encodes(node) else { continue };
            if promise.injected || precision == FeatureCache::Off || !frozen(module) {
                others.push(promise.image);
                continue;
            }
            let mut shapes = vec![vec![promise.shape.tokens, promise.shape.width]];
            if promise.pyramid {
                shapes.extend(promise.shape.pyramid.iter().map(|&(h, w, c)| vec![h, w, c]));
            }
            let values = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
            let mut what = json!({
                "encoder": promise.identity,
                "weights": weights(module),
                "data": fingerprint,
                "precision": precision,
                "shapes": shapes,
            });
            // What a card computes has other bits.
            if cfg!(feature = "card") {
                what["computed"] = json!(["card", model.dev().precision()]);
            }
            let slots = 2 * samples * tiles;
            let shelf = shelves.open(&identity::hash(&what), &what, (slots, values), precision)?;
            let grid = promise.shape.grid;
            let image = promise.image;
            encoders.push(Kept { node, image, shelf, precision, grid, shapes });
        }
        Ok(Frozen { encoders, ..Frozen::of(others, tiles) })
    }

    /// No shelves: every encoder of `model` sees every picture.
    pub fn none(model: &Model) -> Frozen {
        let images = (0..model.nodes.len()).filter_map(|node| Some(model.encodes(node)?.image));
        Frozen::of(images.collect(), tiles(model))
    }

    fn of(others: Vec<usize>, tiles: usize) -> Frozen {
        let (recalled, encoded) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Frozen { encoders: Vec::new(), others, tiles, recalled, encoded }
    }

    /// The most tiles of a picture, where each is a picture of its own to the encoders; else 1.
    pub fn tiles(&self) -> usize {
        self.tiles
    }

    /// What came from shelves so far, and what was computed.
    pub fn recall(&self) -> Recall {
        Recall {
            recalled: self.recalled.load(Ordering::Relaxed),
            encoded: self.encoded.load(Ordering::Relaxed),
        }
    }

    /// Whether a batch's picture must be prepared for image specification number `image`, given
    /// what was found of each encoder's features.
    pub fn wants(&self, image: usize, picture: usize, found: &[Vec<Option<Vec<f32>>>]) -> bool {
        let kept = || self.encoders.iter().zip(found).filter(|(kept, _)| kept.image == image);
        self.others.contains(&image) || kept().any(|(_, found)| found[picture].is_none())
    }

    /// The visual tokens `[pictures, N, C]` of a batch; `None` if it has no picture.
    ///
    /// # Errors
    /// A plugin broke its promise, or the device or a disk fails.
    pub fn see(&self, model: &Model, batch: &mut Batch) -> Result<Option<Tensor>, SeeError> {
        if batch.pictures == 0 {
            return Ok(None);
        }
        let (images, given) = self.given(model, batch)?;
        let seen = Seen { images: &images, questions: &batch.questions, layouts: &batch.layouts };
        Ok(Some(model.see_given(seen, given)?))
    }

    /// A batch's images, and the features of the encoders that have a shelf, by position in
    /// [`Model::nodes`].
    ///
    /// # Errors
    /// A plugin broke its promise, or the device or a disk fails.
    pub fn given(
        &self,
        model: &Model,
        batch: &mut Batch,
    ) -> Result<(Vec<Option<Tensor>>, Given), SeeError> {
        let images = batch.tensors(model.dev())?;
        let mut given = BTreeMap::new();
        for (kept, mut found) in self.encoders.iter().zip(std::mem::take(&mut batch.kept)) {
            // A batch before this one may have written it since the loader looked.
            for (record, slot) in found.iter_mut().zip(&batch.slots) {
                *record = record.take().or_else(|| kept.recall(*slot));
            }
            let missing = found.iter().filter(|record| record.is_none()).count();
            self.encoded.fetch_add(missing, Ordering::Relaxed);
            self.recalled.fetch_add(found.len() - missing, Ordering::Relaxed);
            let records = kept.complete(model, &images, batch, found)?;
            given.insert(kept.node, kept.features(model, &records)?);
        }
        let whole = |image: Option<Image>| image.map(|image| image.tensor);
        let images = images.into_iter().map(whole).collect();
        Ok((images, given))
    }
}

/// Some of a batch's pictures, prepared in one way.
#[derive(Debug, Clone)]
pub struct Image {
    /// `[pictures, planes, S, S]`.
    pub tensor: Tensor,
    /// Which of the batch's pictures they are.
    pub pictures: Vec<usize>,
}

fn tiles(model: &Model) -> usize {
    let adaptive = model.images.iter().find_map(ImageSpec::adaptive);
    adaptive.map_or(1, |tiles| tiles.range().1)
}

/// A hash of everything that a node computes with.
fn weights(node: &ModelNode) -> String {
    let mut hasher = blake3::Hasher::new();
    for param in &node.params {
        let values = param.tensor();
        hasher.update(format!("{} {:?}", param.name(), param.shape()).as_bytes());
        values.host().chunks(1 << 16).for_each(|chunk| {
            let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
            hasher.update(&bytes);
        });
    }
    hasher.finalize().to_hex().to_string()
}

impl Kept {
    /// What the shelf has for a picture's slot.
    pub fn recall(&self, slot: usize) -> Option<Vec<f32>> {
        self.shelf.read(slot)
    }

    /// A record for each picture: those that were not found are computed, and put on the shelf.
    fn complete(
        &self,
        model: &Model,
        images: &[Option<Image>],
        batch: &Batch,
        found: Vec<Option<Vec<f32>>>,
    ) -> Result<Vec<Vec<f32>>, SeeError> {
        let missing: Vec<usize> =
            (0..found.len()).filter(|&picture| found[picture].is_none()).collect();
        let mut made = Vec::new();
        if !missing.is_empty() {
            let image = images.get(self.image).and_then(Option::as_ref);
            let image = image.ok_or_else(|| broken("a picture was not prepared"))?;
            let features = model.encode(self.node, &image.of(&missing)?)?;
            made = self.records(&features, missing.len())?;
            for (&picture, record) in missing.iter().zip(&made) {
                self.shelf.write(batch.slots[picture], record)?;
            }
        }
        let mut made = made.into_iter();
        let whole = found.into_iter().map(|record| record.or_else(|| made.next()));
        Ok(whole.map(Option::unwrap_or_default).collect())
    }

    /// The record of each of `count` pictures: its map, then its levels.
    fn records(&self, features: &Features, count: usize) -> TensorResult<Vec<Vec<f32>>> {
        let parts: Vec<&Tensor> = std::iter::once(&features.map)
            .chain(&features.pyramid)
            .take(self.shapes.len())
            .collect();
        let mut records = vec![Vec::new(); count];
        for (part, shape) in parts.iter().zip(&self.shapes) {
            let values = part.host();
            let size: usize = shape.iter().product();
            if values.len() != size * count {
                return Err(broken("an encoder broke its promise"));
            }
            for (record, values) in records.iter_mut().zip(values.chunks(size.max(1))) {
                record.extend(values.iter().map(|value| match self.precision {
                    FeatureCache::F16 => f16::from_f32(*value).to_f32(),
                    FeatureCache::Off | FeatureCache::F32 => *value,
                }));
            }
        }
        Ok(records)
    }

    /// The features of all pictures, from their records.
    fn features(&self, model: &Model, records: &[Vec<f32>]) -> TensorResult<Features> {
        let mut at = 0;
        let mut parts = Vec::new();
        for shape in &self.shapes {
            let size: usize = shape.iter().product();
            let mut values = Vec::with_capacity(size * records.len());
            for record in records {
                let part = record.get(at..at + size);
                values.extend_from_slice(part.ok_or_else(|| broken("a record is too short"))?);
            }
            at += size;
            let shape = [&[records.len()], &shape[..]].concat();
            parts.push(Tensor::new(model.dev(), values, &shape)?);
        }
        let mut parts = parts.into_iter();
        let map = parts.next().ok_or_else(|| broken("an encoder without a map"))?;
        Ok(Features { map, grid: self.grid, pyramid: parts.collect() })
    }
}

impl Image {
    /// Those of its pictures that are number `wanted` of the batch.
    fn of(&self, wanted: &[usize]) -> TensorResult<Tensor> {
        if self.pictures == wanted {
            return Ok(self.tensor.clone());
        }
        let [count, channels, rows, columns] = self.tensor.dims("pictures")?;
        let row = |picture: &usize| {
            let row = self.pictures.iter().position(|known| known == picture);
            row.ok_or_else(|| broken("a picture was not prepared"))
        };
        let picked = wanted.iter().map(row).collect::<TensorResult<Vec<_>>>()?;
        let flat = self.tensor.reshape(&[count, channels * rows * columns])?;
        let flat = crate::nn::ops::gather_rows(&flat, &picked)?;
        flat.reshape(&[wanted.len(), channels, rows, columns])
    }
}

fn broken(detail: &str) -> TensorError {
    TensorError::Shape { op: "features", detail: detail.into() }
}
