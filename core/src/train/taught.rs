//! Batches for objectives: pictures as the encoders want them, and what each teaches.

use std::sync::Arc;

use rayon::prelude::*;

use super::loader::{Batch, Drawn, Prepared, prepared};
use crate::data::DataError;
use crate::data::frame::Frame;
use crate::data::preprocess::ImageSpec;
use crate::features::Frozen;
use crate::registry::{Labeller, Target};
use crate::seed::Rng;

/// An objective, as a loader sees it.
#[derive(Clone)]
pub struct Taught {
    /// Its node's id.
    pub node: String,
    /// What makes its targets.
    pub labeller: Arc<dyn Labeller>,
    /// The position of its encoder's image among the model's.
    pub image: usize,
    /// Views of every picture.
    pub views: usize,
    /// The same when it is measured.
    pub measured_views: usize,
}

/// Prepares samples for objectives.
///
/// # Errors
/// A picture that is missing or can't be read, or from which nothing can be learnt; the message
/// names the sample.
pub fn assemble(
    drawn: &[Drawn],
    images: &[ImageSpec],
    taught: &[Taught],
    frozen: &Frozen,
) -> Result<Batch, DataError> {
    let mut batch =
        Batch { ids: drawn.iter().map(|d| d.sample.id.clone()).collect(), ..Batch::default() };
    let all: Vec<&Drawn> = drawn.iter().collect();
    match taught.iter().find(|taught| taught.views > 1) {
        None => batch.add_pictures(&all, images, frozen)?,
        Some(viewed) => {
            batch.pictures = drawn.len();
            let image = |(at, spec): (usize, &ImageSpec)| match at == viewed.image {
                true => views(drawn, spec, viewed),
                false => plain(drawn, spec),
            };
            batch.images = images.iter().enumerate().map(image).collect::<Result<_, _>>()?;
        }
    }
    let targets = |taught: &Taught| {
        drawn.par_iter().map(|drawn| target(drawn, &images[taught.image], taught)).collect()
    };
    batch.lessons = taught.iter().map(targets).collect::<Result<_, _>>()?;
    Ok(batch)
}

/// Every view of every picture: the first of all, then the second.
fn views(drawn: &[Drawn], spec: &ImageSpec, taught: &Taught) -> Result<Prepared, DataError> {
    let count = drawn.len() * taught.views;
    let view = |at: usize| {
        let (view, drawn) = (at / drawn.len(), &drawn[at % drawn.len()]);
        let Some(picture) = &drawn.sample.picture else { return prepared(drawn, spec) };
        let mut rng = Rng::of(drawn.chance, &format!("view {view}"));
        let values = taught.labeller.view(picture, view, &mut rng);
        values.map_err(|error| error.of_sample(&drawn.sample.id))
    };
    let values = (0..count).into_par_iter().map(view).collect::<Result<Vec<_>, _>>()?;
    Ok(whole(values, count, spec))
}

fn plain(drawn: &[Drawn], spec: &ImageSpec) -> Result<Prepared, DataError> {
    let values =
        drawn.par_iter().map(|drawn| prepared(drawn, spec)).collect::<Result<Vec<_>, _>>()?;
    Ok(whole(values, drawn.len(), spec))
}

fn whole(values: Vec<Vec<f32>>, count: usize, spec: &ImageSpec) -> Prepared {
    let (values, planes) = (values.concat(), spec.planes());
    Prepared { values, planes, side: spec.size, pictures: (0..count).collect() }
}

/// What a picture teaches an objective.
///
/// # Errors
/// Nothing can be learnt from it; the message names the sample and the objective.
pub fn target(drawn: &Drawn, spec: &ImageSpec, taught: &Taught) -> Result<Target, DataError> {
    let sample = &drawn.sample;
    let known = match (&sample.annotations, &sample.picture) {
        (Some(known), Some(picture)) => {
            let frame = Frame::of(picture, spec).map_err(|error| error.of_sample(&sample.id))?;
            Some(if drawn.flipped { frame.mirrored() } else { frame }.of_all(known))
        }
        _ => None,
    };
    taught.labeller.target(known.as_ref()).map_err(|fault| DataError::Sample {
        sample: sample.id.clone(),
        detail: format!("{fault}, from which `{}` would learn", taught.node),
    })
}
