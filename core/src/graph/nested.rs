//! Data sets within a data set's configuration: each is found, configured and held against its own
//! promise, and what is wrong stands at its place in the file.

use std::sync::Arc;

use serde_json::Value;

use super::configure::{Known, configure, misfit};
use crate::registry::{DatasetConfig, Kind, Plugin, Registry};
use crate::spec::syntax::{self, Shape, Value as Syntax};
use crate::spec::{PluginSpec, Problem};

/// A data set, with what was typed for it.
pub(super) type Part = (PluginSpec, Arc<dyn DatasetConfig>);

/// Links the data sets that `config` is made of, and writes what they are into its identity. Returns
/// them, and those within them.
pub(super) fn link(
    spec: &PluginSpec,
    config: &mut Arc<dyn DatasetConfig>,
    identity: &mut Value,
    registry: &Registry,
    problems: &mut Vec<Problem>,
) -> Vec<Part> {
    let Some(config) = Arc::get_mut(config) else { return Vec::new() };
    let nested = config.nested();
    if nested.is_empty() {
        return Vec::new();
    }
    // Blanks in place of what stands before: places are the file's.
    let source = " ".repeat(spec.span.start) + &spec.text;
    let root = syntax::read(&source).root;
    let mut parts = Vec::new();
    for (path, nested) in nested {
        let Some(value) = root.as_ref().and_then(|root| at(root, &path)) else { continue };
        let inner = crate::spec::plugin::read(value, &source, "data set", problems);
        let known = configure(&inner, &[Kind::Dataset], registry, problems);
        let Some(Known {
            config: Some(Plugin::Dataset(config)), identity: own, parts: more, ..
        }) = known
        else {
            continue;
        };
        if let Err(error) = config.validate() {
            problems.push(misfit(&inner, error, &[]));
            continue;
        }
        if let Some(place) = identity.pointer_mut(&format!("/fields{path}")) {
            *place = own.clone();
        }
        nested.link(config.clone(), own);
        parts.push((inner, config));
        parts.extend(more);
    }
    parts
}

/// What stands at `/field/0/field`.
fn at<'a>(root: &'a Syntax, path: &str) -> Option<&'a Syntax> {
    path.split('/').skip(1).try_fold(root, |value, step| match &value.shape {
        Shape::Group { items, .. } => {
            let named = |name: &str| name == step;
            let item = items.iter().find(|i| i.name.as_ref().is_some_and(|n| named(&n.value)));
            item.map(|item| &item.value)
        }
        Shape::List(values) => values.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}
