//! LLaVA-HR's mixture-of-resolution adapter: the first expert of `from` is the low-resolution path,
//! and the maps of the others are injected between its groups of blocks; at the end all are added.
//! Source: Luo et al., arXiv 2403.03003; `multipath_encoder_wapper.py` of luogen1996/LLaVA-HR at
//! 1212ffb, with its parameter names.
//!
//! After each group but the last, with `F` the low-resolution tokens and `S` the other map:
//! `S' = slow_proj(GELU(slow_conv(S)))` on the grid of `F`; `F += fast_proj(GELU(fast_conv(F)))`,
//! a depthwise 7x7; `F += S' tanh(gate(mean(F; S')))`, one number per picture. At the end
//! `fast_proj(F) + slow_proj(S)`: a map `[B, N, C]` of the first expert to `[B, N, C]`.
//!
//! Where the reference says nothing:
//! - `groups` is 4 there; 1 leaves out what stands between the blocks, as the reference does while
//!   its encoders are frozen (LLaVA-HR's first stage).
//! - With three experts or more, each of the others has its own adapters, applied one after the other
//!   in the order of `from` (the same form for each, and nothing changes for two); the names go on
//!   counting: `align_stages_latent.3` is the second one's first.
//! - A grid that is no whole multiple is resampled (bilinear, align_corners) as the reference does
//!   when it goes up; whole multiples are averaged, as there.
//! - Vectors before the grid's (a class token) pass by untouched; the reference drops them.

use eagle_core::nn::layers::{Conv2d, DepthwiseConv2d, Linear};
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{
    Cost, Features, Fusion, FusionConfig, MapShape, Misfit, Tap, TokensShape,
};
use eagle_core::tensor::{Result, Tensor, TensorError};

eagle_core::config! {
    /// LLaVA-HR: the other experts' maps are injected between the blocks of the first expert, then
    /// added to its map. As many visual tokens as the first expert gives.
    pub struct LlavaHr {
        /// Groups of blocks of the first expert; the other maps are injected between two groups. 1
        /// injects nothing and only adds at the end.
        groups: usize = 4,
        /// Whether the injection starts as nothing, its last layers being zero.
        zero_init: bool = true,
    }
}

eagle_core::register!(fusion LlavaHr, examples [
    "LlavaHr(groups: 2, zero_init: false)",
    "LlavaHr(zero_init: false)",
    "LlavaHr(groups: 1)",
]);

/// The side of the depthwise convolution of the reference.
const KERNEL: usize = 7;

impl FusionConfig for LlavaHr {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn injects(&self) -> Option<usize> {
        (self.groups > 1).then_some(0)
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        let first = fit::low_and_high(inputs)?;
        if self.groups == 0 {
            return Err(Misfit::field("groups", "a group of blocks is the least"));
        }
        if self.groups > 1 && first.blocks < self.groups {
            let message = match first.blocks {
                0 => "nothing can be injected between its blocks: their maps differ in size".into(),
                blocks => format!("it has {blocks} blocks, too few for {} groups", self.groups),
            };
            let help = "the low-resolution encoder comes first: a plain transformer such as ClipVit";
            return Err(Misfit::input(0, message).help(help));
        }
        Ok(TokensShape { tokens: first.tokens, width: first.width })
    }

    fn grid(&self, inputs: &[MapShape]) -> Option<(usize, usize)> {
        inputs.first()?.grid
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let [first, others @ ..] = inputs else { return Cost::default() };
        let (n, d) = (first.tokens, first.width);
        let adapter = |other: &MapShape| {
            cost::linear(other.tokens, other.width, other.width)
                + cost::linear(other.tokens, other.width, d)
                + cost::convolution(n, KERNEL, 1, d)
                + cost::linear(n, d, d)
                + cost::times(4, cost::pointwise(n, d))
        };
        let one = |other: &MapShape| {
            cost::times(self.groups - 1, adapter(other)) + cost::linear(n, other.width, d)
        };
        others.iter().map(one).fold(cost::linear(n, d, d), |sum, one| sum + one)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let [first, others @ ..] = inputs else { return Err(broken("reads nothing")) };
        let width = first.width;
        let mut adapters = Vec::new();
        for other in others {
            for _ in 1..self.groups {
                let index = adapters.len();
                let b = &mut b.at("align_stages_latent");
                let widths = (width, other.width);
                adapters.push(Adapter::build(&mut b.at(index), widths, self.zero_init)?);
            }
        }
        let mut stages = b.at("align_stages");
        let fast = Linear::build(&mut stages.at(0).at("fast_proj"), width, width, true)?;
        let slow = others.iter().enumerate().map(|(i, other)| {
            Linear::build(&mut stages.at(i).at("slow_proj"), other.width, width, true)
        });
        let slow = slow.collect::<Result<_>>()?;
        let grid = first.grid.unwrap_or((first.tokens, 1));
        Ok(Box::new(Module { groups: self.groups, grid, adapters, fast, slow }))
    }
}

/// What stands between two groups of blocks, for one of the other experts.
struct Adapter {
    slow_conv: Conv2d,
    slow_proj: Conv2d,
    fast_conv: DepthwiseConv2d,
    fast_proj: Conv2d,
    gate: [Linear; 2],
}

impl Adapter {
    fn build(b: &mut Builder<'_>, (fast, slow): (usize, usize), zero: bool) -> Result<Adapter> {
        let point = |b: &mut Builder<'_>, shape: (usize, usize), zero: bool| {
            let init = if zero { Init::Zeros } else { Init::xavier(shape.0, shape.1) };
            Conv2d::with_init(b, shape, 1, (1, 0), true, init)
        };
        // PyTorch's xavier counts the kernel's places on both sides, and one channel a group.
        let init = Init::xavier(KERNEL * KERNEL, fast * KERNEL * KERNEL);
        Ok(Adapter {
            slow_conv: point(&mut b.at("slow_conv"), (slow, slow), false)?,
            slow_proj: point(&mut b.at("slow_proj"), (slow, fast), zero)?,
            fast_conv: DepthwiseConv2d::with_init(&mut b.at("fast_conv"), fast, KERNEL, init)?,
            fast_proj: point(&mut b.at("fast_proj"), (fast, fast), zero)?,
            gate: [
                Linear::build(&mut b.at("gate").at(0), 2 * fast, (fast / 2).max(1), true)?,
                Linear::build(&mut b.at("gate").at(2), (fast / 2).max(1), 1, true)?,
            ],
        })
    }

    /// `fast` `[B, h, w, d]` and `slow` `[B, H, W, c]` to `fast`'s shape.
    fn forward(&self, fast: &Tensor, slow: &Tensor) -> Result<Tensor> {
        let [batch, h, w, width] = fast.dims("LlavaHr")?;
        let slow = ops::activate(&self.slow_conv.forward(slow)?, Activation::Gelu)?;
        let slow = aligned(&self.slow_proj.forward(&slow)?, (h, w))?;
        let mixed = ops::activate(&self.fast_conv.forward(fast)?, Activation::Gelu)?;
        let fast = ops::add(fast, &self.fast_proj.forward(&mixed)?)?;
        let both = ops::concat(&[&fast, &slow], 3)?.reshape(&[batch, h * w, 2 * width])?;
        let gate = self.gate[0].activated(&ops::mean_rows(&both)?, Activation::Gelu)?;
        let gate = self.gate[1].activated(&gate, Activation::Tanh)?.reshape(&[batch])?;
        ops::add(&fast, &ops::scale_rows(&slow, &gate)?)
    }
}

/// `[B, H, W, C]` on another grid: squares averaged where they fill it, else bilinear.
fn aligned(x: &Tensor, (h, w): (usize, usize)) -> Result<Tensor> {
    let [_, rows, columns, _] = x.dims("LlavaHr")?;
    let factor = rows / h.max(1);
    if factor > 1 && (rows, columns) == (h * factor, w * factor) {
        return ops::average_pool(x, factor);
    }
    ops::resize_bilinear(x, h, w, true)
}

struct Module {
    groups: usize,
    grid: (usize, usize),
    adapters: Vec<Adapter>,
    fast: Linear,
    slow: Vec<Linear>,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let [first, others @ ..] = inputs else { return Err(broken("reads nothing")) };
        let mut sum = self.fast.forward(&first.map)?;
        for (other, projection) in others.iter().zip(&self.slow) {
            let map = aligned(&other.on_grid()?, self.grid)?;
            let [batch, h, w, width] = map.dims("LlavaHr")?;
            let map = projection.forward(&map.reshape(&[batch, h * w, width])?)?;
            sum = ops::add(&sum, &map)?;
        }
        Ok(sum)
    }

    fn tap<'a>(&'a self, others: &[Features]) -> Result<Box<dyn Tap + 'a>> {
        let maps = others.iter().map(Features::on_grid).collect::<Result<_>>()?;
        Ok(Box::new(Injection { module: self, maps }))
    }
}

struct Injection<'a> {
    module: &'a Module,
    /// The other experts' maps, `[B, H, W, C]`.
    maps: Vec<Tensor>,
}

impl Tap for Injection<'_> {
    fn after_block(&mut self, index: usize, count: usize, x: Tensor) -> Result<Tensor> {
        let Module { groups, grid: (h, w), adapters, .. } = self.module;
        let Some(gap) = (1..*groups).position(|gap| gap * count / groups == index + 1) else {
            return Ok(x);
        };
        let shape = x.shape().to_vec();
        let (batch, width) = (shape[0], x.rows().1);
        let before = (x.rows().0 / batch.max(1)).checked_sub(h * w);
        let before = before.ok_or_else(|| broken("a block gives too few vectors"))?;
        let x = x.reshape(&[batch, before + h * w, width])?;
        let map = if before > 0 { ops::narrow(&x, 1, before, h * w)? } else { x.clone() };
        let mut map = map.reshape(&[batch, *h, *w, width])?;
        for (slow, adapters) in self.maps.iter().zip(adapters.chunks(groups - 1)) {
            let adapter = adapters.get(gap).ok_or_else(|| broken("an adapter is missing"))?;
            map = adapter.forward(&map, slow)?;
        }
        let map = map.reshape(&[batch, h * w, width])?;
        if before == 0 {
            return map.reshape(&shape);
        }
        ops::concat(&[&ops::narrow(&x, 1, 0, before)?, &map], 1)?.reshape(&shape)
    }
}

fn broken(detail: &str) -> TensorError {
    TensorError::Shape { op: "LlavaHr", detail: detail.into() }
}
