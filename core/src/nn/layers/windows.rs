//! Attention within windows of a grid (ViTDet, arXiv 2203.16527; SAM; EVA-02).

use crate::nn::ops;
use crate::tensor::{Result, Tensor};

<<<<<<< HEAD
/// How a grid is cut into square windows; those at the right and the bottom are filled with zeros.
#[derive(Debug, Clone)]
pub struct Windows {
    /// For each token of each window, the token of the grid; `None` where it is filled.
    cut: Vec<Option<usize>>,
    /// For each token of the grid, the token of the windows.
    paste: Vec<usize>,
    area: usize,
}

impl Windows {
    /// Windows of `side x side` over `(rows, columns)`.
    pub fn new((rows, columns): (usize, usize), side: usize) -> Windows {
        let across = columns.div_ceil(side);
        let area = side * side;
        let count = rows.div_ceil(side) * across;
        let mut cut = vec![None; count * area];
        let place = |token: usize| {
            let (row, column) = (token / columns, token % columns);
            let window = row / side * across + column / side;
            window * area + row % side * side + column % side
        };
        let paste: Vec<usize> = (0..rows * columns).map(place).collect();
        for (token, &at) in paste.iter().enumerate() {
            cut[at] = Some(token);
        }
        Windows { cut, paste, area }
    }

    /// `[B, rows * columns, C]` to `[B * windows, side * side, C]`.
    ///
    /// # Errors
    /// Another number of axes or tokens.
    pub fn split(&self, x: &Tensor) -> Result<Tensor> {
        let [batch, tokens, width] = x.dims("windows")?;
        self.fits(x, tokens == self.paste.len())?;
        let rows: Vec<_> = (0..batch)
            .flat_map(|b| self.cut.iter().map(move |at| at.map(|at| b * tokens + at)))
            .collect();
        let windows = ops::gather_or_zeros(x, &rows)?;
        windows.reshape(&[batch * self.cut.len() / self.area, self.area, width])
    }

    /// The reverse of [`Windows::split`]; what was filled is dropped.
    ///
    /// # Errors
    /// Another number of axes or windows.
    pub fn join(&self, x: &Tensor) -> Result<Tensor> {
        let [windows, area, width] = x.dims("windows")?;
        let (filled, tokens) = (self.cut.len(), self.paste.len());
        self.fits(x, area == self.area && (windows * area).is_multiple_of(filled.max(1)))?;
        let batch = windows * area / filled.max(1);
        let rows: Vec<_> =
            (0..batch).flat_map(|b| self.paste.iter().map(move |at| b * filled + at)).collect();
        ops::gather_rows(x, &rows)?.reshape(&[batch, tokens, width])
    }

    fn fits(&self, x: &Tensor, holds: bool) -> Result<()> {
        if holds {
            return Ok(());
        }
        let (tokens, filled) = (self.paste.len(), self.cut.len());
        let detail = format!("{:?} for {tokens} tokens, {filled} with filling", x.shape());
        Err(TensorError::Shape { op: "windows", detail })
    }
=======
/// Applies `f` to the tokens `[B, N, C]` of a grid, window by window: it gets
/// `[B * windows, side * side, C]` and a window's rows and columns, and keeps the shape. Windows at
/// the right and the bottom are filled with zeros, to which `f` attends as the references do. With
/// a side of 0, the whole grid is one window.
///
/// # Errors
/// The tokens are not those of the grid, or `f` fails.
pub fn within_windows(
    x: &Tensor,
    (rows, columns): (usize, usize),
    side: usize,
    f: impl FnOnce(&Tensor, (usize, usize)) -> Result<Tensor>,
) -> Result<Tensor> {
    if side == 0 {
        return f(x, (rows, columns));
    }
    let [batch, tokens, width] = x.dims("windows")?;
    let window = (side, side);
    let windows = ops::windows(&x.reshape(&[batch, rows, columns, width])?, window)?;
    let windows = f(&windows, window)?;
    ops::join_windows(&windows, (rows, columns), window)?.reshape(&[batch, tokens, width])
>>>>>>> main
}
