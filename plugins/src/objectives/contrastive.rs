//! Contrastive learning of pictures and captions: CLIP (Radford et al., arXiv 2103.00020). In a batch,
//! every picture is to be told from the others by its caption, and every caption by its picture.
//!
//! The picture's vector is the mean over the map, the caption's that of a small text tower of its own;
//! both are projected and divided by their length. The logits are their products times a learnt
//! factor, of at most 100.
//!
//! `[B, N, width]` and captions to a loss over `[B, B]`.

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::annotations::Annotations;
use eagle_core::nn::layers::Linear;
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{
    Backbone, Cost, Features, Labeller, Misfit, Objective, ObjectiveConfig, Seen, Target, Judgement,
};
use eagle_core::tensor::{Param, Result, Tensor};
use eagle_core::text::{TextError, Tokenizer};

use super::places::UNKNOWN;
use super::text_tower::{TextShape, TextTower};
use crate::llms::tokenizer::TokenizerSource;

eagle_core::config! {
    /// CLIP's objective: pictures and their captions find each other within a batch. Its metric is
    /// the share of pictures to which, of the whole set's captions, their own is nearest (or one that
    /// says the same).
    pub struct Contrastive {
        /// Channels of the space that pictures and captions share.
        embed: usize = 64,
        /// Channels of the text tower.
        width: usize = 64,
        /// Its transformer blocks.
        layers: usize = 2,
        /// Its attention heads; divides `width`.
        heads: usize = 4,
        /// Tokens of a caption, at most; what is longer is cut off.
        context: usize = 77,
        /// Its token embeddings; at least the tokenizer's.
        vocabulary: usize = 256,
        /// The temperature at first; the factor of the logits is 1 over it.
        temperature: f32 = 0.07,
        /// Embedded, or File("tokenizer.json").
        #[location]
        tokenizer: TokenizerSource = TokenizerSource::Embedded,
    }
}

eagle_core::register!(objective Contrastive, examples [
    "Contrastive(embed: 6, width: 8, layers: 1, heads: 2, context: 16)",
]);

/// The greatest factor of the logits, as CLIP clips it.
const MOST: f32 = 100.0;

impl Contrastive {
    fn text(&self) -> TextShape {
        TextShape {
            vocabulary: self.vocabulary,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            context: self.context,
        }
    }
}

impl ObjectiveConfig for Contrastive {
    fn metric(&self) -> &'static str {
        "recall@1"
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn tokenizer(&self, base: &Path) -> std::result::Result<Option<Tokenizer>, TextError> {
        self.tokenizer.open(base).map(Some)
    }

    fn meets(&self, _: Backbone<'_>) -> std::result::Result<(), Misfit> {
        fit::even_heads(self.width, self.heads)?;
        if !(self.width / self.heads).is_multiple_of(2) {
            let message = format!("a head of {} channels can't be rotated", self.width / self.heads);
            return Err(Misfit::field("heads", message).help("a head needs an even width"));
        }
        for (field, size) in [("embed", self.embed), ("context", self.context)] {
            if size == 0 {
                return Err(Misfit::field(field, "must be at least 1"));
            }
        }
        if !(self.temperature >= 1.0 / MOST && self.temperature.is_finite()) {
            return Err(Misfit::field("temperature", "must be at least 0.01"));
        }
        Ok(())
    }

    fn cost(&self, backbone: Backbone<'_>) -> Cost {
        let (length, width) = (self.context, self.width);
        let block = cost::linear(length, width, 12 * width)
            + cost::attention(length, length.div_ceil(2), width)
            + cost::pointwise(length, 6 * width);
        cost::times(self.layers, block)
            + cost::linear(1, width, self.embed)
            + cost::linear(1, backbone.shape.width, self.embed)
    }

    fn labeller(
        &self,
        _: Backbone<'_>,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Arc<dyn Labeller> {
        Arc::new(Captions { tokenizer, context: self.context })
    }

    fn build(&self, backbone: Backbone<'_>, b: &mut Builder<'_>) -> Result<Box<dyn Objective>> {
        let picture = &mut b.at("visual_projection");
        let picture = Linear::build(picture, backbone.shape.width, self.embed, false)?;
        let text = TextTower::build(&mut b.at("text_model"), self.text())?;
        let projection = &mut b.at("text_projection");
        let projection = Linear::build(projection, self.width, self.embed, false)?;
        let init = Init::Constant(-self.temperature.ln());
        let scale = b.param("logit_scale", &[1], init)?;
        Ok(Box::new(Module { picture, text, projection, scale }))
    }
}

struct Captions {
    tokenizer: Option<Arc<Tokenizer>>,
    context: usize,
}

impl Labeller for Captions {
    fn target(&self, known: Option<&Annotations>) -> std::result::Result<Target, String> {
        let caption = &known.ok_or(UNKNOWN)?.caption;
        let tokenizer = self.tokenizer.as_ref().ok_or("there is no tokenizer for its caption")?;
        let tokens = tokenizer.encode(caption).map_err(|error| error.to_string())?;
        let labels: Vec<u32> = tokens.into_iter().map(|token| token.id).take(self.context).collect();
        match labels.is_empty() {
            true => Err("has no caption".to_owned()),
            false => Ok(Target { labels, count: 1.0, answer: caption.clone(), ..Target::default() }),
        }
    }
}

struct Module {
    picture: Linear,
    text: TextTower,
    projection: Linear,
    scale: Param,
}

impl Module {
    /// The vectors of pictures and captions, `[B, embed]` each, of length 1.
    fn vectors(&self, features: &Features, targets: &[Target]) -> Result<[Tensor; 2]> {
        let pictures = self.picture.forward(&ops::mean_rows(&features.map)?)?;
        let captions: Vec<&[u32]> = targets.iter().map(|target| &target.labels[..]).collect();
        let captions = self.projection.forward(&self.text.forward(&captions)?)?;
        Ok([ops::unit_rows(&pictures)?, ops::unit_rows(&captions)?])
    }
}

impl Objective for Module {
    fn loss(&self, seen: Seen<'_>) -> Result<Option<Tensor>> {
        let [pictures, captions] = self.vectors(seen.features, seen.targets)?;
        let count = seen.targets.len();
        let factor = ops::exp(&self.scale.tensor())?;
        let one_way = |from: &Tensor, to: &Tensor| {
            let products = ops::linear(from, to, None, Activation::None)?; // [B, B]
            let logits = ops::scale_rows(&products.reshape(&[1, count * count])?, &factor)?;
            let own: Vec<u32> = (0..count as u32).collect();
            ops::softmax_cross_entropy(&logits.reshape(&[count, count])?, &own, None)
        };
        let both = ops::add(&one_way(&pictures, &captions)?, &one_way(&captions, &pictures)?)?;
        ops::scale(&both, 0.5).map(Some)
    }

    /// The vector of the picture, then that of its caption.
    fn read(&self, features: &Features, targets: &[Target]) -> Result<Vec<Vec<f32>>> {
        let [pictures, captions] = self.vectors(features, targets)?;
        let both = ops::concat(&[&pictures, &captions], 1)?;
        let (_, width) = both.rows();
        Ok(both.host().chunks(width).map(<[f32]>::to_vec).collect())
    }

    fn judge(&self, readings: &[Vec<f32>], targets: &[Target]) -> Vec<Option<Judgement>> {
        let judged = |(read, target): (&Vec<f32>, &Target)| {
            let (picture, _) = read.split_at(read.len() / 2);
            let product = |other: &Vec<f32>| -> f32 {
                let (_, caption) = other.split_at(other.len() / 2);
                picture.iter().zip(caption).map(|(a, b)| a * b).sum()
            };
            let products: Vec<f32> = readings.iter().map(product).collect();
            let best = (0..products.len()).rev().max_by(|&a, &b| products[a].total_cmp(&products[b]))?;
            let prediction = targets[best].answer.clone();
            let score = f64::from(u8::from(prediction == target.answer));
            Some(Judgement { prediction, score })
        };
        readings.iter().zip(targets).map(judged).collect()
    }

    /// Keeps the factor of the logits from growing beyond 100.
    fn after_step(&self, _: &[Param], _: f64) -> Result<()> {
        self.scale.update(|scale| scale.iter_mut().for_each(|scale| *scale = scale.min(MOST.ln())));
        Ok(())
    }
}
