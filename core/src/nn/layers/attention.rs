//! Multi-head attention with separate query, key, value and output projections.

use crate::nn::layers::{Linear, Rope, Rope2d};
use crate::nn::ops::{self, AttentionSpec};
use crate::nn::{Builder, Init};
use crate::tensor::{Result, Tensor};

/// The names of the four projections in a checkpoint, and whether they have biases.
#[derive(Debug, Clone, Copy)]
pub struct AttentionNames {
    /// Query, key, value, output.
    pub projections: [&'static str; 4],
    /// Whether query, key and value have a bias, and whether the output has one.
    pub bias: (bool, bool),
}

/// Attention over one sequence; with fewer key/value heads than heads, grouped queries.
#[derive(Debug, Clone)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    scale: f32,
}

impl Attention {
    /// `heads` heads of `width / heads` channels each.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(
        b: &mut Builder<'_>,
        names: AttentionNames,
        width: usize,
        (heads, kv_heads): (usize, usize),
        init: Init,
    ) -> Result<Attention> {
        let head_width = width / heads;
        let [query, key, value, output] = names.projections;
        let (qkv, out) = names.bias;
        let narrow = kv_heads * head_width;
        Ok(Attention {
            query: Linear::with_init(&mut b.at(query), width, heads * head_width, qkv, init)?,
            key: Linear::with_init(&mut b.at(key), width, narrow, qkv, init)?,
            value: Linear::with_init(&mut b.at(value), width, narrow, qkv, init)?,
            output: Linear::with_init(&mut b.at(output), heads * head_width, width, out, init)?,
            heads,
            kv_heads,
            head_width,
            scale: scale_of(head_width),
        })
    }

    /// Attention of query, key, value and output projections that a checkpoint keeps in a way of
    /// its own, with heads of `head_width` channels each.
    pub fn of(
        [query, key, value, output]: [Linear; 4],
        heads: usize,
        head_width: usize,
    ) -> Attention {
        let scale = scale_of(head_width);
        Attention { query, key, value, output, heads, kv_heads: heads, head_width, scale }
    }

    /// The same with scores multiplied by `scale` in place of `1 / sqrt(head width)`.
    #[must_use]
    pub fn scaled(self, scale: f32) -> Attention {
        Attention { scale, ..self }
    }

    /// Every position attends to every other: `[B, N, C]` to the same shape.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn bidirectional(&self, x: &Tensor) -> Result<Tensor> {
        let [q, k, v] = self.project(x)?;
        self.attend(&q, &k, &v, false, 0)
    }

    /// Every position of `x` `[B, N, C]` attends to every one of `seen` `[B, M, C]`, of which the
    /// keys and values are made: `[B, N, C]`.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn across(&self, x: &Tensor, seen: &Tensor) -> Result<Tensor> {
        let ([b, n, _], [_, m, _]) = (x.dims("attention")?, seen.dims("attention")?);
        let q = self.query.forward(x)?.reshape(&[b, n, self.heads, self.head_width])?;
        let split = |y: Tensor| y.reshape(&[b, m, self.kv_heads, self.head_width]);
        let (k, v) = (split(self.key.forward(seen)?)?, split(self.value.forward(seen)?)?);
        self.attend(&q, &k, &v, false, 0)
    }

    /// Like [`Attention::bidirectional`], with queries and keys turned by their place on a grid.
    ///
    /// # Errors
    /// Another number of axes, channels or positions.
    pub fn on_grid(&self, x: &Tensor, rope: &Rope2d) -> Result<Tensor> {
        let [q, k, v] = self.project(x)?;
        self.attend(&rope.forward(&q)?, &rope.forward(&k)?, &v, false, 0)
    }

    /// Every position attends to itself and those before it. With `cache`, the keys and values of
    /// earlier positions, `x` continues them and they grow by it.
    ///
    /// # Errors
    /// Another number of axes or channels; positions beyond the rotary table.
    pub fn causal(
        &self,
        x: &Tensor,
        rope: &Rope,
        cache: Option<&mut Option<(Tensor, Tensor)>>,
    ) -> Result<Tensor> {
        let [q, k, v] = self.project(x)?;
        let seen = cache.as_deref().and_then(Option::as_ref).map_or(0, |(keys, _)| keys.shape()[1]);
        let q = rope.forward(&q, seen)?;
        let mut k = rope.forward(&k, seen)?;
        let mut v = v;
        if let Some(cache) = cache {
            if let Some((keys, values)) = cache.take() {
                k = ops::concat(&[&keys, &k], 1)?;
                v = ops::concat(&[&values, &v], 1)?;
            }
            *cache = Some((k.clone(), v.clone()));
        }
        self.attend(&q, &k, &v, true, seen)
    }

    fn project(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        let [b, n, _] = x.dims("attention")?;
        let split = |y: Tensor, heads: usize| y.reshape(&[b, n, heads, self.head_width]);
        Ok([
            split(self.query.forward(x)?, self.heads)?,
            split(self.key.forward(x)?, self.kv_heads)?,
            split(self.value.forward(x)?, self.kv_heads)?,
        ])
    }

    fn attend(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        causal: bool,
        at: usize,
    ) -> Result<Tensor> {
        let [b, n, ..] = q.dims::<4>("attention")?;
        let spec = AttentionSpec { causal, scale: self.scale, query_offset: at, key_lengths: None };
        let mixed = ops::attention(q, k, v, None, &spec)?;
        self.output.forward(&mixed.reshape(&[b, n, self.heads * self.head_width])?)
    }
}

fn scale_of(head_width: usize) -> f32 {
    1.0 / (head_width as f32).sqrt()
}
