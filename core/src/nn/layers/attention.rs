//! Multi-head attention: projections apart or in one, and the norms that some models put inside.

use crate::nn::layers::linear::split;
use crate::nn::layers::{LayerNorm, Linear, RmsNorm, Rope, Rope2d};
use crate::nn::ops::{self, Activation, AttentionSpec};
use crate::nn::{Builder, Init};
use crate::tensor::{Param, Result, Tensor};

/// The names of the four projections in a checkpoint, and whether they have biases.
#[derive(Debug, Clone, Copy)]
pub struct AttentionNames {
    /// Query, key, value, output.
    pub projections: [&'static str; 4],
    /// Whether query, key and value have a bias, and whether the output has one.
    pub bias: (bool, bool),
}

/// Query, key and value in one product.
#[derive(Debug, Clone)]
pub enum FusedProjection {
    /// With or without a bias for all three.
    Whole(Linear),
    /// With biases of queries and values alone (EVA-01).
    NoKeyBias {
        /// `[3 * width, width]`.
        weight: Param,
        /// The queries' `[width]`.
        query: Param,
        /// The values' `[width]`.
        value: Param,
    },
}

impl FusedProjection {
    fn forward(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        match self {
            FusedProjection::Whole(linear) => linear.parts(x),
            FusedProjection::NoKeyBias { weight, query, value } => {
                let none = Tensor::new(x.dev(), vec![0.0; query.len()], query.shape())?;
                let bias = ops::concat(&[&query.tensor(), &none, &value.tensor()], 0)?;
                split(&ops::linear(x, &weight.tensor(), Some(&bias), Activation::None)?)
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Projections {
    Apart([Linear; 3]),
    Fused(FusedProjection),
}

/// Attention over one sequence; with fewer key/value heads than heads, grouped queries.
#[derive(Debug, Clone)]
pub struct Attention {
    projections: Projections,
    output: Linear,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    scale: f32,
    /// Of all heads' queries together, and of the keys.
    query_key_norms: Option<[RmsNorm; 2]>,
    /// Before the output projection.
    inner_norm: Option<LayerNorm>,
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
        let query = Linear::with_init(&mut b.at(query), width, heads * head_width, qkv, init)?;
        let key = Linear::with_init(&mut b.at(key), width, narrow, qkv, init)?;
        let value = Linear::with_init(&mut b.at(value), width, narrow, qkv, init)?;
        let output = Linear::with_init(&mut b.at(output), heads * head_width, width, out, init)?;
        Ok(Attention { kv_heads, ..Attention::of([query, key, value, output], heads, head_width) })
    }

    /// Attention of query, key, value and output projections that a checkpoint keeps in a way of
    /// its own, with heads of `head_width` channels each.
    pub fn of(
        [query, key, value, output]: [Linear; 4],
        heads: usize,
        head_width: usize,
    ) -> Attention {
        Attention::new(Projections::Apart([query, key, value]), output, heads, head_width)
    }

    /// Attention of projections that a checkpoint keeps in one.
    pub fn fused(
        projection: FusedProjection,
        output: Linear,
        heads: usize,
        head_width: usize,
    ) -> Attention {
        Attention::new(Projections::Fused(projection), output, heads, head_width)
    }

    fn new(projections: Projections, output: Linear, heads: usize, head_width: usize) -> Attention {
        Attention {
            projections,
            output,
            heads,
            kv_heads: heads,
            head_width,
            scale: 1.0 / (head_width as f32).sqrt(),
            query_key_norms: None,
            inner_norm: None,
        }
    }

    /// The same with queries and keys normalised over all heads together (InternViT-6B).
    #[must_use]
    pub fn with_query_key_norms(self, norms: Option<[RmsNorm; 2]>) -> Attention {
        Attention { query_key_norms: norms, ..self }
    }

    /// The same with a norm before the output projection (EVA-02-CLIP).
    #[must_use]
    pub fn with_inner_norm(self, norm: Option<LayerNorm>) -> Attention {
        Attention { inner_norm: norm, ..self }
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
        let projected = match &self.projections {
            Projections::Apart([q, k, v]) => [q.forward(x)?, k.forward(seen)?, v.forward(seen)?],
            Projections::Fused(projection) => {
                let ([q, ..], [_, k, v]) = (projection.forward(x)?, projection.forward(seen)?);
                [q, k, v]
            }
        };
        let [q, k, v] = self.in_heads(projected)?;
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
        self.in_heads(match &self.projections {
            Projections::Apart([q, k, v]) => [q.forward(x)?, k.forward(x)?, v.forward(x)?],
            Projections::Fused(projection) => projection.forward(x)?,
        })
    }

    /// Queries, keys and values `[B, N, C]`, normed where they are, as `[B, N, heads, D]`.
    fn in_heads(&self, [mut q, mut k, v]: [Tensor; 3]) -> Result<[Tensor; 3]> {
        if let Some([query, key]) = &self.query_key_norms {
            (q, k) = (query.forward(&q)?, key.forward(&k)?);
        }
        let split = |y: Tensor, heads: usize| {
            let [b, n, _] = y.dims("attention")?;
            y.reshape(&[b, n, heads, self.head_width])
        };
        Ok([split(q, self.heads)?, split(k, self.kv_heads)?, split(v, self.kv_heads)?])
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
        let mixed = mixed.reshape(&[b, n, self.heads * self.head_width])?;
        match &self.inner_norm {
            Some(norm) => self.output.forward(&norm.forward(&mixed)?),
            None => self.output.forward(&mixed),
        }
    }
}
