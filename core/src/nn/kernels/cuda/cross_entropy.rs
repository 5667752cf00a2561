//! Cross-entropy: over a vocabulary from hidden states, and over given logits.
//!
//! As on the CPU the forward pass computes the gradient of the sum of the losses, a panel of rows at a
//! time, and the backward pass scales it. Logits are of f32 whatever the storage.

use super::call::{Call, Product, Source, THREADS, source};
use super::elementwise::{add_assign, sum};
use super::rows::{gather, scatter_add};
use super::{Buffer, Indices, Kind, Result};

const SOURCE: Source = source!("cross_entropy.cu");

/// Logits that exist at a time: 512 MB, and as many of the gradients.
const PANEL: usize = 1 << 27;

/// The summed loss, and its gradients where they are wanted.
#[derive(Debug)]
pub struct Losses {
    /// The sum over the targets: one value of f32.
    pub loss: Buffer,
    /// The gradient of the hidden states (or logits).
    pub hidden: Option<Buffer>,
    /// The gradient of the head, of f32.
    pub head: Option<Buffer>,
}

/// Cross-entropy of `hidden` `[R, C]` times `head` `[V, C]` at `targets`, (row, label) each.
///
/// # Errors
/// The card has no room.
pub fn cross_entropy(
    (hidden, head): (&Buffer, &Buffer),
    (c, vocabulary): (usize, usize),
    targets: &[(usize, u32)],
    (want_hidden, want_head): (bool, bool),
) -> Result<Losses> {
    let panel = (PANEL / vocabulary.max(1)).clamp(64, 1 << 16);
    panels((hidden, head), (c, vocabulary), targets, (want_hidden, want_head), panel)
}

/// The same with `panel` rows at a time.
pub(super) fn panels(
    (hidden, head): (&Buffer, &Buffer),
    (c, vocabulary): (usize, usize),
    targets: &[(usize, u32)],
    (want_hidden, want_head): (bool, bool),
    panel: usize,
) -> Result<Losses> {
    let gpu = hidden.gpu();
    let mut loss = gpu.zeros(Kind::F32, 1)?;
    let wanted = |wanted: bool, len: usize| wanted.then(|| gpu.zeros(Kind::F32, len)).transpose();
    let mut dhidden = wanted(want_hidden, hidden.len())?;
    let mut dhead = wanted(want_head, head.len())?;
    for targets in targets.chunks(panel) {
        let rows: Vec<_> = targets.iter().map(|target| Some(target.0)).collect();
        let labels: Vec<u32> = targets.iter().map(|target| target.1).collect();
        let (n, x) = (rows.len(), gather(hidden, c, &rows)?);
        let mut logits = gpu.uninit(Kind::F32, n * vocabulary)?;
        let product =
            |size, a, b| Product { batch: 1, size, a, b, start: [0; 3], accumulate: false };
        gpu.product(&product((n, vocabulary, c), (&x, false), (head, true)), &mut logits, 1.0)?;
        let kind = (want_hidden || want_head).then_some(hidden.kind());
        let (part, gradient) = labelled(&logits, vocabulary, &labels, None, kind)?;
        add_assign(&mut loss, &part)?;
        let Some(gradient) = gradient else { continue };
        if let Some(dhead) = &mut dhead {
            let size = (vocabulary, c, n);
            let sum = Product { accumulate: true, ..product(size, (&gradient, true), (&x, false)) };
            gpu.product(&sum, dhead, 1.0)?;
        }
        if let Some(dhidden) = &mut dhidden {
            let mut dx = x.uninit_like(n * c)?;
            let size = (n, c, vocabulary);
            gpu.product(&product(size, (&gradient, false), (head, false)), &mut dx, 1.0)?;
            scatter_add(dhidden, c, &rows, &dx)?;
        }
    }
    let stored = |dhidden: Buffer| match hidden.kind() {
        Kind::F32 => Ok(dhidden),
        kind => dhidden.cast(kind),
    };
    Ok(Losses { loss, hidden: dhidden.map(stored).transpose()?, head: dhead })
}

/// The summed loss of rows of f32 logits, and its gradient, stored as `kind`.
fn labelled(
    logits: &Buffer,
    classes: usize,
    targets: &[u32],
    weights: Option<&[f32]>,
    kind: Option<Kind>,
) -> Result<(Buffer, Option<Buffer>)> {
    let gpu = logits.gpu();
    let labels: Vec<i32> = targets.iter().map(|label| label.cast_signed()).collect();
    let labels = Indices::upload(gpu, &labels)?;
    let weights = weights.map(|weights| gpu.upload(Kind::F32, weights)).transpose()?;
    let mut losses = gpu.uninit(Kind::F32, targets.len())?;
    let mut gradient = kind.map(|kind| gpu.uninit(kind, logits.len())).transpose()?;
    let call = Call::new(gpu, SOURCE, "label_cross_entropy", kind.unwrap_or(Kind::F32));
    let call = call.write(&mut losses).maybe_write(gradient.as_mut()).read(logits).indices(&labels);
    call.maybe(weights.as_ref()).int(classes).blocks(targets.len(), threads(classes))?;
    Ok((sum(&losses)?, gradient))
}

fn threads(classes: usize) -> usize {
    classes.next_multiple_of(32).clamp(32, if classes > 8192 { 1024 } else { THREADS })
}

/// Logits as f32.
fn floats(logits: &Buffer) -> Result<Option<Buffer>> {
    if logits.kind() == Kind::F32 { Ok(None) } else { logits.cast(Kind::F32).map(Some) }
}

/// The weighted sum of the cross-entropies of the rows of `logits`, and its gradient.
///
/// # Errors
/// The card has no room.
pub fn softmax_cross_entropy(
    logits: &Buffer,
    classes: usize,
    targets: &[u32],
    weights: Option<&[f32]>,
) -> Result<Losses> {
    let (kind, cast) = (Some(logits.kind()), floats(logits)?);
    let (loss, hidden) =
        labelled(cast.as_ref().unwrap_or(logits), classes, targets, weights, kind)?;
    Ok(Losses { loss, hidden, head: None })
}

/// The sum of the cross-entropies of the rows of `logits` against rows of non-negative `targets`, and
/// its gradient.
///
/// # Errors
/// The card has no room.
pub fn soft_cross_entropy(
    logits: &Buffer,
    classes: usize,
    targets: &[f32],
) -> Result<(Buffer, Buffer)> {
    let (gpu, cast) = (logits.gpu(), floats(logits)?);
    let rows = logits.len() / classes.max(1);
    let targets = gpu.upload(Kind::F32, targets)?;
    let mut losses = gpu.uninit(Kind::F32, rows)?;
    let mut gradient = logits.uninit_like(logits.len())?;
    let call = Call::new(gpu, SOURCE, "soft_cross_entropy", logits.kind()).write(&mut losses);
    let call = call.write(&mut gradient).read(cast.as_ref().unwrap_or(logits)).read(&targets);
    call.int(classes).blocks(rows, threads(classes))?;
    Ok((sum(&losses)?, gradient))
}
