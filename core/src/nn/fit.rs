//! What the sizes of the common layers must fit, for a plugin's promise.

use crate::registry::{MapShape, Misfit};

/// An image's side, given by `field`, must be whole patches.
///
/// # Errors
/// It isn't; the help names the nearest sides.
pub fn whole_patches(size: usize, field: &'static str, patch: usize) -> Result<(), Misfit> {
    if patch == 0 {
        return Err(Misfit::field("patch_size", "a patch has no pixels"));
    }
    if !size.is_multiple_of(patch) {
        let message = format!("{size} pixels are not a whole number of patches of {patch}");
        let (below, above) = (size / patch * patch, size.div_ceil(patch) * patch);
        return Err(Misfit::field(field, message).help(format!("use {below} or {above}")));
    }
    Ok(())
}

/// Heads must share the width evenly.
///
/// # Errors
/// They can't; the help names what can.
pub fn even_heads(width: usize, heads: usize) -> Result<(), Misfit> {
    if heads == 0 || !width.is_multiple_of(heads) {
        let fit: Vec<String> = (1..=width.min(32))
            .filter(|n| width.is_multiple_of(*n))
            .map(|n| n.to_string())
            .collect();
        return Err(Misfit::field(
            "heads",
            format!("{heads} heads can't share a width of {width}"),
        )
        .help(format!("use one of {}", fit.join(", "))));
    }
    Ok(())
}

/// Windows of `window` patches a side must fit a grid of `side`, and the blocks that are `global`
/// instead must be among `layers`. A window of 0 makes all blocks global.
///
/// # Errors
/// They don't.
pub fn windows(window: usize, side: usize, global: &[usize], layers: usize) -> Result<(), Misfit> {
    if window > side {
        let message = format!("a window of {window} patches, in an image of {side}");
        let help = "a window of 0 makes all blocks global";
        return Err(Misfit::field("window", message).help(help));
    }
    match global.iter().find(|block| window > 0 && **block >= layers) {
        None => Ok(()),
        Some(block) => {
            let message = format!("no block {block} of {layers}: they are counted from 0");
            Err(Misfit::field("global_blocks", message))
        }
    }
}

/// Every map that a fusion reads lies on a grid.
///
/// # Errors
/// The first that doesn't.
pub fn on_grids(inputs: &[MapShape]) -> Result<(), Misfit> {
    match inputs.iter().position(|input| input.grid.is_none()) {
        None => Ok(()),
        Some(i) => {
            let message = "its tokens don't lie on a grid, so they can't be resampled";
            Err(Misfit::input(i, message).help("drop the class token of that encoder"))
        }
    }
}

/// A low-resolution expert, then those that are injected into its map or searched for details, all
/// of them on grids: the first.
///
/// # Errors
/// There are fewer than two, or one lies on no grid.
pub fn low_and_high(inputs: &[MapShape]) -> Result<&MapShape, Misfit> {
    on_grids(inputs)?;
    match inputs {
        [first, _, ..] => Ok(first),
        _ => Err(Misfit::new("it joins two experts or more")
            .help("write the low-resolution encoder first, then the others")),
    }
}
