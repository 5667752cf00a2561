//! Self-distillation without labels: DINO (Caron et al., arXiv 2104.14294), of which DINOv2 keeps the
//! loss on whole pictures. A student that sees one view of a picture is to predict what a teacher makes of
//! another; the teacher is the average of the students of earlier steps. Its output is centred and
//! sharpened, so that neither one answer for all nor no answer at all is a way out.
//!
//! The vector of a picture is the mean over the map. The teacher, encoder and head, and the centre
//! are buffers of this node: part of every checkpoint, not trained.
//!
//! `[V x B, N, width]` of `V` views, the first two of them large crops, to a loss.
//!
//! The metric is retrieval, by which self-supervised features are judged where no class is to be named
//! (there in section 4.2: landmarks, copies of a picture): of two large crops of every held-out
//! picture, the one is to find the other. It asks for what the loss teaches, and for no label. A vote
//! of the neighbours on classes ([`NearestNeighbours`](super::nearest_neighbours)) asks for something
//! else as well: that the classes are what sets pictures apart.

use std::cell::RefCell;
use std::sync::Arc;

use eagle_core::data::annotations::Annotations;
use eagle_core::data::preprocess::ImageSpec;
use eagle_core::data::{DataError, Picture};
use eagle_core::nn::layers::Linear;
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost};
use eagle_core::registry::{
    Backbone, Cost, Encoder, Features, Labeller, Misfit, NoTap, Objective, ObjectiveConfig, Seen,
    Target, Judgement,
};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Param, Result, Tensor, TensorError};
use eagle_core::text::Tokenizer;
use serde::{Deserialize, Serialize};

use super::retrieval::ranks;
use super::sinkhorn::shared_out;
use super::views::view;

eagle_core::config! {
    /// DINO: a student learns to say of one view of a picture what its own average says of another.
    /// Its metric is the share of pictures whose first large crop is nearer to their own second one
    /// than to that of any other picture, by the mean of the encoder's map.
    pub struct SelfDistillation {
        /// Channels inside the head.
        hidden: usize = 128,
        /// Channels of the head's bottleneck.
        bottleneck: usize = 32,
        /// What the head tells apart.
        prototypes: usize = 128,
        /// Small crops beside the two large ones.
        local_views: usize = 2,
        /// Least and largest share of the picture's area in a large crop.
        global_area: (f32, f32) = (0.5, 1.0),
        /// The same for a small crop.
        local_area: (f32, f32) = (0.15, 0.5),
        /// Whether views are mirrored half of the time.
        flip: bool = true,
        /// The student's temperature.
        student_temperature: f32 = 0.1,
        /// The teacher's, at the first step and from a third of the steps on.
        teacher_temperature: (f32, f32) = (0.04, 0.07),
        /// How much of the teacher stays in a step, at first; it goes up to 1 by half a cosine.
        momentum: f32 = 0.99,
        /// What keeps the teacher from one answer for all: Centred (DINO: its logits less their
        /// running mean) or SinkhornKnopp (DINOv2: within a batch every prototype is as much in
        /// demand as any other, which holds in small batches, too).
        centring: Centring = Centring::Centred,
        /// With Centred, how much of the centre stays in a step.
        centre_momentum: f32 = 0.9,
    }
}

eagle_core::register!(objective SelfDistillation, examples [
    "SelfDistillation(hidden: 6, bottleneck: 4, prototypes: 5, local_views: 1)",
    "SelfDistillation(hidden: 6, bottleneck: 4, prototypes: 5, local_views: 0, flip: false, centring: SinkhornKnopp)",
]);

/// How the teacher's answers are spread over the prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Centring {
    /// By a running mean of its logits.
    Centred,
    /// By shares in the batch.
    SinkhornKnopp,
}

/// The views that the teacher sees, and that the metric compares.
const GLOBAL: usize = 2;

/// The rank of a picture's own other view, if it is found.
const FIRST: &str = "1";

impl ObjectiveConfig for SelfDistillation {
    fn metric(&self) -> &'static str {
        "recall@1"
    }

    fn reads_annotations(&self) -> bool {
        false
    }

    fn views(&self) -> usize {
        GLOBAL + self.local_views
    }

    fn measured_views(&self) -> usize {
        GLOBAL
    }

    fn meets(&self, _: Backbone<'_>) -> std::result::Result<(), Misfit> {
        let sizes = [
            ("hidden", self.hidden),
            ("bottleneck", self.bottleneck),
            ("prototypes", self.prototypes),
        ];
        if let Some((field, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Misfit::field(field, "must be at least 1"));
        }
        for (field, (least, most)) in
            [("global_area", self.global_area), ("local_area", self.local_area)]
        {
            if !(0.01 <= least && least <= most && most <= 1.0) {
                let message = "are (least, largest) with 0.01 <= least <= largest <= 1";
                return Err(Misfit::field(field, message));
            }
        }
        let (first, last) = self.teacher_temperature;
        let warm = [self.student_temperature, first, last].into_iter().all(|t| t > 0.0 && t <= 10.0);
        if !warm {
            let message = "a temperature lies above 0 and up to 10";
            return Err(Misfit::field("student_temperature", message));
        }
        for (field, share) in
            [("momentum", self.momentum), ("centre_momentum", self.centre_momentum)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(Misfit::field(field, "lies between 0 and 1"));
            }
        }
        Ok(())
    }

    fn cost(&self, backbone: Backbone<'_>) -> Cost {
        let head = cost::linear(1, backbone.shape.width, self.hidden)
            + cost::linear(1, self.hidden, self.bottleneck)
            + cost::linear(1, self.bottleneck, self.prototypes);
        // What its encoder costs beyond the one view that is counted there, and the teacher's.
        let again = backbone.encoder.cost();
        let more = cost::times(self.views() - 1, again);
        let teacher = Cost { activations: 0, ..cost::times(GLOBAL, again) };
        cost::times(self.views() + GLOBAL, head) + more + teacher
    }

    fn labeller(&self, backbone: Backbone<'_>, _: Option<Arc<Tokenizer>>) -> Arc<dyn Labeller> {
        Arc::new(Crops { config: self.clone(), image: backbone.encoder.image() })
    }

    fn build(&self, backbone: Backbone<'_>, b: &mut Builder<'_>) -> Result<Box<dyn Objective>> {
        let width = backbone.shape.width;
        let head = Head::build(&mut b.at("head"), width, self)?;
        let student = b.at("head").params();
        let mut kept = b.at("teacher");
        let mut kept = kept.buffers();
        let encoder = backbone.encoder.build(&mut kept.at("encoder"))?;
        let of_encoder = kept.at("encoder").params();
        let teacher_head = Head::build(&mut kept.at("head"), width, self)?;
        let of_head = kept.at("head").params();
        let centre = b.buffers().param("centre", &[self.prototypes], Init::Zeros)?;
        let teacher = Teacher { encoder, head: teacher_head, of_encoder, of_head, centre };
        let said = RefCell::default();
        Ok(Box::new(Module { config: self.clone(), head, student, teacher, said }))
    }
}

/// Draws the views; of a picture nothing needs to be known.
struct Crops {
    config: SelfDistillation,
    image: ImageSpec,
}

impl Labeller for Crops {
    fn target(&self, _: Option<&Annotations>) -> std::result::Result<Target, String> {
        Ok(Target { count: 1.0, answer: FIRST.to_owned(), ..Target::default() })
    }

    fn view(
        &self,
        picture: &Picture,
        at: usize,
        rng: &mut Rng,
    ) -> std::result::Result<Vec<f32>, DataError> {
        let config = &self.config;
        let area = if at < GLOBAL { config.global_area } else { config.local_area };
        view(picture, &self.image, area, config.flip, rng)
    }
}

/// From a picture's vector to logits of the prototypes.
struct Head {
    layers: [Linear; 2],
    prototypes: Param,
}

impl Head {
    fn build(b: &mut Builder<'_>, width: usize, config: &SelfDistillation) -> Result<Head> {
        let (hidden, bottleneck) = (config.hidden, config.bottleneck);
        let layers = [
            Linear::build(&mut b.at("mlp").at(0), width, hidden, true)?,
            Linear::build(&mut b.at("mlp").at(2), hidden, bottleneck, true)?,
        ];
        let shape = [config.prototypes, bottleneck];
        let prototypes = b.at("last_layer").param("weight", &shape, Init::Normal(1.0))?;
        Ok(Head { layers, prototypes })
    }

    /// The cosines of the bottleneck with every prototype: `[B, N, width]` to `[B, prototypes]`.
    fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let [first, second] = &self.layers;
        let x = first.activated(&ops::mean_rows(map)?, Activation::Gelu)?;
        let x = ops::unit_rows(&second.forward(&x)?)?;
        let prototypes = ops::unit_rows(&self.prototypes.tensor())?;
        ops::linear(&x, &prototypes, None, Activation::None)
    }
}

struct Teacher {
    encoder: Box<dyn Encoder>,
    head: Head,
    of_encoder: Vec<Param>,
    of_head: Vec<Param>,
    centre: Param,
}

struct Module {
    config: SelfDistillation,
    head: Head,
    /// The head's parameters.
    student: Vec<Param>,
    teacher: Teacher,
    /// The sum of the teacher's logits since the last step, and of how many views.
    said: RefCell<(Vec<f32>, usize)>,
}

impl Module {
    /// What the teacher makes of the large crops: probabilities `[2 x B, prototypes]`.
    fn taught(&self, image: &Tensor, pictures: usize, progress: f64) -> Result<Tensor> {
        let large = ops::narrow(&image.detached(), 0, 0, GLOBAL * pictures)?;
        let features = self.teacher.encoder.forward(&large, &mut NoTap)?;
        let logits = self.teacher.head.forward(&features.map)?;
        let mut said = self.said.borrow_mut();
        said.0.resize(self.config.prototypes, 0.0);
        for row in logits.host().chunks(self.config.prototypes) {
            said.0.iter_mut().zip(row).for_each(|(sum, logit)| *sum += logit);
            said.1 += 1;
        }
        let (first, last) = self.config.teacher_temperature;
        let temperature = first + (last - first) * (3.0 * progress).min(1.0) as f32;
        if self.config.centring == Centring::SinkhornKnopp {
            let mut values = logits.host().into_owned();
            shared_out(&mut values, self.config.prototypes, temperature);
            return Tensor::new(logits.dev(), values, logits.shape());
        }
        let centre = ops::scale(&self.teacher.centre.tensor(), -1.0)?;
        ops::softmax(&ops::scale(&ops::add_rows(&logits, &centre)?, 1.0 / temperature)?)
    }

    /// For every view of the student, what the teacher says of the others, each with the same share.
    fn targets(&self, taught: &[f32], pictures: usize) -> Vec<f32> {
        let size = pictures * self.config.prototypes;
        let views = self.config.views();
        let share = 1.0 / (GLOBAL * views - GLOBAL) as f32;
        let mut targets = vec![0.0; views * size];
        for (view, targets) in targets.chunks_mut(size).enumerate() {
            for (_, said) in taught.chunks(size).enumerate().filter(|(other, _)| *other != view) {
                targets.iter_mut().zip(said).for_each(|(target, p)| *target += share * p);
            }
        }
        targets
    }
}

impl Objective for Module {
    fn loss(&self, seen: Seen<'_>) -> Result<Option<Tensor>> {
        let pictures = seen.targets.len();
        let image = seen.image.ok_or_else(|| TensorError::Shape {
            op: "self-distillation",
            detail: "features that were kept have no views".into(),
        })?;
        let taught = self.taught(image, pictures, seen.progress)?;
        let targets = self.targets(&taught.host(), pictures);
        let logits = self.head.forward(&seen.features.map)?;
        let logits = ops::scale(&logits, 1.0 / self.config.student_temperature)?;
        ops::soft_cross_entropy(&logits, &targets).map(Some)
    }

    /// The vectors of a picture's two views.
    fn read(&self, features: &Features, targets: &[Target]) -> Result<Vec<Vec<f32>>> {
        let vectors = ops::unit_rows(&ops::mean_rows(&features.map)?)?;
        let (_, width) = vectors.rows();
        let values = vectors.host();
        let (first, second) = values.split_at(targets.len() * width);
        let both = first.chunks(width).zip(second.chunks(width));
        Ok(both.map(|(first, second)| [first, second].concat()).collect())
    }

    fn judge(&self, readings: &[Vec<f32>], _: &[Target]) -> Vec<Option<Judgement>> {
        let judged = |rank: usize| {
            let prediction = rank.to_string();
            let score = f64::from(u8::from(prediction == FIRST));
            Some(Judgement { prediction, score })
        };
        ranks(readings).into_iter().map(judged).collect()
    }

    fn begin(&self, encoder: &[Param]) -> Result<()> {
        average(&self.teacher.of_encoder, encoder, 0.0);
        average(&self.teacher.of_head, &self.student, 0.0);
        self.teacher.centre.update(|centre| centre.fill(0.0));
        Ok(())
    }

    fn after_step(&self, encoder: &[Param], progress: f64) -> Result<()> {
        let left = (1.0 - f64::from(self.config.momentum)) * 0.5;
        let kept = 1.0 - left * (1.0 + (std::f64::consts::PI * progress).cos());
        average(&self.teacher.of_encoder, encoder, kept as f32);
        average(&self.teacher.of_head, &self.student, kept as f32);
        let (sum, count) = self.said.take();
        let kept = self.config.centre_momentum;
        self.teacher.centre.update(|centre| {
            for (centre, sum) in centre.iter_mut().zip(sum) {
                *centre = kept * *centre + (1.0 - kept) * sum / count.max(1) as f32;
            }
        });
        Ok(())
    }
}

/// `teacher = kept * teacher + (1 - kept) * student`, parameter by parameter in their common order.
fn average(teacher: &[Param], student: &[Param], kept: f32) {
    for (teacher, student) in teacher.iter().zip(student) {
        let student = student.tensor();
        let student = student.host();
        teacher.update(|values| {
            for (value, student) in values.iter_mut().zip(student.iter()) {
                *value = kept * *value + (1.0 - kept) * student;
            }
        });
    }
}
