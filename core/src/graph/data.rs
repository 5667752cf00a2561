//! What a stage trains on.

use std::path::Path;

use super::configure::{configure, misfit};
use super::draft::Draft;
use super::{Context, Data};
use crate::registry::{DatasetConfig, Kind, Plugin, Registry};
use crate::spec::{PluginSpec, Problem, StageSpec};

/// A stage's data set; reported if there is none. Files that aren't there are noted.
pub(super) fn data(
    draft: &mut Draft<'_>,
    spec: &StageSpec,
    registry: &Registry,
    context: &Context<'_>,
) -> Option<Data> {
    let known = configure(&spec.data, &[Kind::Dataset], registry, &mut draft.problems)?;
    let Some(Plugin::Dataset(plugin)) = known.config else { return None };
    if let Err(error) = plugin.validate() {
        draft.problems.push(misfit(&spec.data, error, &[]));
        return None;
    }
    let mut missing = missing(&spec.data, plugin.as_ref(), context.base);
    for (part, plugin) in &known.parts {
        missing.extend(self::missing(part, plugin.as_ref(), context.base));
    }
    // Two stages may train on one file: it is told once.
    missing.retain(|one| draft.missing.iter().all(|known| known.message != one.message));
    draft.missing.extend(missing);
    Some(Data { name: known.entry.name.to_owned(), plugin, identity: known.identity })
}

/// The files of a data set that aren't there.
fn missing(spec: &PluginSpec, plugin: &dyn DatasetConfig, base: &Path) -> Vec<Problem> {
    let files = plugin.files().into_iter();
    let gone = files.filter(|(_, path)| !base.join(path).exists());
    gone.map(|(field, path)| {
        let place = spec.place(field).unwrap_or(spec.name.span.clone());
        let message = format!("there is no file or folder {}", path.display());
        let help = "a relative path starts at the folder of this file";
        Problem::new(message, place, "the data").help(help)
    })
    .collect()
}
