//! Embedding lookup, gathering, and the LLM's input: visual tokens between text embeddings.

use super::require;
use crate::nn::device::rows::{gather, gather_two, scatter_add};
use crate::tensor::{Result, Tensor, Values, buffer};

/// Where a row of [`splice`]'s output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A row of the visual tokens.
    Visual(usize),
    /// A row of the embedding table.
    Token(u32),
    /// Zeros.
    Pad,
}

/// The rows of `table` `[V, C]` that `ids` names: `[ids, C]`.
///
/// # Errors
/// An id is not below `V`.
pub fn embedding(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let [_, width] = table.dims("embedding")?;
    pick(
        "embedding",
        table,
        ids.iter().map(|&id| Some(id as usize)).collect(),
        vec![ids.len(), width],
    )
}

/// The rows of `x` `[.., C]`, its leading axes counted as one, that `rows` names: `[rows, C]`.
///
/// # Errors
/// A row is not in `x`.
pub fn gather_rows(x: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let width = x.rows().1;
    pick("gather_rows", x, rows.iter().map(|&row| Some(row)).collect(), vec![rows.len(), width])
}

fn pick(
    op: &'static str,
    table: &Tensor,
    rows: Vec<Option<usize>>,
    shape: Vec<usize>,
) -> Result<Tensor> {
    let (count, width) = table.rows();
    check_rows(op, "row", count, &rows)?;
    let values = gather(table.values(), width, &rows);
    let slot = table.slot();
    Tensor::from_op(&[table], values, &shape, move |grads, gradient| {
        scatter_into(grads, slot, count * width, width, &rows, &gradient);
        Ok(())
    })
}

fn scatter_into(
    grads: &mut crate::tensor::Grads,
    slot: Option<crate::tensor::Slot>,
    len: usize,
    width: usize,
    rows: &[Option<usize>],
    gradient: &Values,
) {
    let Some(slot) = slot else { return };
    if grads.get_mut(slot).is_none() {
        grads.add(Some(slot), buffer::zeros(len));
    }
    if let Some(table) = grads.get_mut(slot) {
        scatter_add(table, width, rows, gradient);
    }
}

fn check_rows(op: &'static str, what: &str, count: usize, rows: &[Option<usize>]) -> Result<()> {
    let bad = rows.iter().flatten().find(|&&row| row >= count);
    require(op, bad.is_none(), || format!("{what} {} of {count}", bad.copied().unwrap_or(0)))
}

/// One row per entry of `rows`: `[batch, rows / batch, C]`.
///
/// # Errors
/// The widths differ, a row or an id doesn't exist, or `batch` doesn't divide the rows.
pub fn splice(
    visual: Option<&Tensor>,
    table: &Tensor,
    rows: &[Row],
    batch: usize,
) -> Result<Tensor> {
    let [vocabulary, width] = table.dims("splice")?;
    let fits = visual.is_none_or(|visual| visual.rows().1 == width)
        && batch > 0
        && rows.len().is_multiple_of(batch);
    require("splice", fits, || {
        let visual = visual.map(Tensor::shape);
        format!("visual {visual:?}, table {:?}, {} rows in {batch}", table.shape(), rows.len())
    })?;
    let tokens: Vec<_> = rows
        .iter()
        .map(|row| if let Row::Token(id) = row { Some(*id as usize) } else { None })
        .collect();
    let patches: Vec<_> =
        rows.iter().map(|row| if let Row::Visual(i) = row { Some(*i) } else { None }).collect();
    let count = visual.map_or(0, |visual| visual.rows().0);
    check_rows("splice", "token", vocabulary, &tokens)?;
    check_rows("splice", "visual row", count, &patches)?;
    let values = match visual {
        Some(seen) => gather_two((table.values(), &tokens), (seen.values(), &patches), width),
        None => gather(table.values(), width, &tokens),
    };
    let slots = (visual.and_then(Tensor::slot), table.slot());
    let inputs: Vec<_> = visual.into_iter().chain([table]).collect();
    let shape = [batch, rows.len() / batch, width];
    Tensor::from_op(&inputs, values, &shape, move |grads, gradient| {
        scatter_into(grads, slots.0, count * width, width, &patches, &gradient);
        scatter_into(grads, slots.1, vocabulary * width, width, &tokens, &gradient);
        Ok(())
    })
}
