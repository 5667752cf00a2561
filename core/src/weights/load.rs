//! Parameters from a checkpoint, strict on both sides.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Bundle, Files, Keys, WeightsError};
use crate::nn::ParamShape;
use crate::tensor::Param;

/// Sets every parameter from the tensors under `prefix`. Strict on both sides: a tensor that is
/// missing, surplus under the prefix, or of another shape is an error that lists them all, and then
/// nothing was changed.
///
/// # Errors
/// The bundle and the parameters don't match; `path` is the file that the message names.
pub fn load(
    params: &[Param],
    bundle: &Bundle,
    prefix: &str,
    path: &Path,
) -> Result<(), WeightsError> {
    let tensor = |name: &str| bundle.tensors.get(name).map(|(shape, _)| (shape.as_slice(), None));
    let names = bundle.tensors.keys().map(String::as_str);
    let found = fit(&shapes(params), names, tensor, prefix, &Keys::default(), path)?;
    for (param, name) in params.iter().zip(found) {
        if let Some((_, values)) = bundle.tensors.get(&name) {
            param.update(|target| target.copy_from_slice(values));
        }
    }
    Ok(())
}

/// Sets every parameter from the tensors of a checkpoint under `prefix`, one tensor at a time. What
/// `keys` ignores may be there, and what it renames may stand under another name.
///
/// # Errors
/// The checkpoint and the parameters don't match, and then nothing was changed; or a file can't be
/// read to its end.
pub fn load_files(
    params: &[Param],
    files: &Files,
    prefix: &str,
    keys: &Keys,
) -> Result<(), WeightsError> {
    let found = located(&shapes(params), files, prefix, keys)?;
    for (param, name) in params.iter().zip(found) {
        let mut result = Ok(());
        param.update(|target| result = files.read_into(&name, target));
        result?;
    }
    Ok(())
}

/// Why a checkpoint doesn't fit parameters that are not built yet, if it doesn't.
///
/// # Errors
/// The tensors that are missing, surplus, or of another shape or type.
pub fn misfit(
    params: &[ParamShape],
    files: &Files,
    prefix: &str,
    keys: &Keys,
) -> Result<(), WeightsError> {
    located(params, files, prefix, keys).map(drop)
}

fn shapes(params: &[Param]) -> Vec<ParamShape> {
    let shape = |p: &Param| ParamShape {
        name: p.name().to_owned(),
        shape: p.shape().to_vec(),
        buffer: p.is_buffer(),
    };
    params.iter().map(shape).collect()
}

fn located(
    params: &[ParamShape],
    files: &Files,
    prefix: &str,
    keys: &Keys,
) -> Result<Vec<String>, WeightsError> {
    let tensor = |name: &str| Some((files.shape(name)?, files.not_floats(name)));
    fit(params, files.names(), tensor, prefix, keys, files.path())
}

/// The name in the file of every parameter.
fn fit<'f>(
    params: &[ParamShape],
    names: impl Iterator<Item = &'f str> + Clone,
    tensor: impl Fn(&str) -> Option<(&'f [usize], Option<String>)>,
    prefix: &str,
    keys: &Keys,
    path: &Path,
) -> Result<Vec<String>, WeightsError> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for param in params {
        let spellings = keys.spellings(&param.name).into_iter();
        let mut spellings = spellings.map(|name| format!("{prefix}{name}"));
        let Some(name) = spellings.find(|name| tensor(name).is_some()) else {
            problems.push(format!("missing: {prefix}{} {:?}", param.name, param.shape));
            missing.push(param.name.as_str());
            continue;
        };
        match tensor(&name) {
            Some((shape, _)) if shape != param.shape => problems.push(format!(
                "shape: {name} is {shape:?} in the file, {:?} in the model",
                param.shape
            )),
            Some((_, Some(kind))) => {
                problems.push(format!("type: {name} is {kind}, not f32, f16 or bf16"));
            }
            _ => {}
        }
        found.push(name);
    }
    let used: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let surplus = names.clone().filter(|name| {
        let rest = name.strip_prefix(prefix);
        !used.contains(name) && rest.is_some_and(|rest| !keys.ignores(rest))
    });
    problems.extend(surplus.map(|name| format!("surplus: {name}")));
    if problems.is_empty() {
        return Ok(found);
    }
    let help = other_prefix(&missing, names, prefix);
    Err(WeightsError::Misfit { path: path.to_owned(), problems, help })
}

/// Where the missing tensors stand, if all of them stand under one other prefix.
fn other_prefix<'f>(
    missing: &[&str],
    names: impl Iterator<Item = &'f str>,
    prefix: &str,
) -> Option<String> {
    let first = missing.first()?;
    let names: BTreeSet<&str> = names.collect();
    let whole = |start: &str| start.is_empty() || start.ends_with(['.', '/']);
    let starts = names.iter().filter_map(|name| name.strip_suffix(first));
    let fits = |start: &&str| {
        let there = |name: &&str| names.contains(format!("{start}{name}").as_str());
        whole(start) && *start != prefix && missing.iter().all(there)
    };
    let found: Vec<String> = starts.filter(fits).map(|start| format!("{start:?}")).collect();
    match &found[..] {
        [] => None,
        all => Some(format!("what is missing stands under the prefix {}", all.join(" or "))),
    }
}
