//! A picture's features have the same bits whatever batch it comes in. The cache of frozen features
//! rests on this: what one batch computed, another one reads.
#![allow(clippy::expect_used, clippy::panic)]

use eagle_core::data::tiles::Layout;
use eagle_core::nn::{Store, ops};
use eagle_core::registry::{
    Configured, Features, Kind, MapShape, NoTap, Plugin, Registry, TokensShape,
};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Dev, Tensor};

const BATCH: usize = 9;
const WIDTH: usize = 12;

fn registry() -> Registry {
    eagle_plugins::registry().expect("no duplicates")
}

/// Every small configuration of the kind's plugins.
fn examples(kind: Kind) -> Vec<(&'static str, Configured)> {
    let of_kind = |entry: &&eagle_core::registry::Entry| entry.kind == kind;
    let registry = registry();
    let entries: Vec<_> = registry.iter().filter(of_kind).collect();
    let parsed = entries.iter().flat_map(|entry| {
        entry.examples.iter().map(|text| (*text, (entry.parse)(text).expect("an example")))
    });
    parsed.collect()
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).expect("a tensor")
}

fn same(text: &str, all: &Tensor, run: &dyn Fn(usize, usize) -> Tensor) {
    let all = all.host();
    let row = all.len() / BATCH;
    for (first, count) in [(0, 1), (BATCH - 1, 1), (2, 3), (1, 8)] {
        let some = run(first, count);
        let some = some.host();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let part = &all[first * row..(first + count) * row];
        assert!(bits(&some) == bits(part), "{text}: samples {first}.. alone ({count})");
    }
}

#[test]
fn an_encoder_gives_a_picture_the_same_bits_in_every_batch() {
    for (text, configured) in examples(Kind::Encoder) {
        let Plugin::Encoder(config) = configured.plugin else { panic!("{text}") };
        let module = config.build(&mut Store::new(&Dev::default(), 7).root()).expect(text);
        let side = config.image().size;
        let images = random(&[BATCH, 3, side, side], 1);
        let seen = |first, count| {
            let part = ops::narrow(&images, 0, first, count).expect("a part");
            module.forward(&part, &mut NoTap).expect(text)
        };
        let all = seen(0, BATCH);
        same(text, &all.map, &|first, count| seen(first, count).map);
        for (level, map) in all.pyramid.iter().enumerate() {
            same(text, map, &|first, count| seen(first, count).pyramid.swap_remove(level));
        }
    }
}

#[test]
fn a_fusion_gives_a_picture_the_same_bits_in_every_batch() {
    let pyramid = MapShape { pyramid: vec![(8, 8, 4)], ..MapShape::on_grid((4, 4), 6) };
    let shapes = [MapShape::on_grid((3, 3), 8), pyramid];
    for (text, configured) in examples(Kind::Fusion) {
        let Plugin::Fusion(config) = configured.plugin else { panic!("{text}") };
        let module = config.build(&shapes, &mut Store::new(&Dev::default(), 7).root()).expect(text);
        let fused = |first, count| {
            let part = |shape: &[usize], seed| {
                ops::narrow(&random(shape, seed), 0, first, count).expect("a part")
            };
            let features = |shape: &MapShape| Features {
                map: part(&[BATCH, shape.tokens, shape.width], 1),
                grid: shape.grid,
                pyramid: shape
                    .pyramid
                    .iter()
                    .map(|&(h, w, c)| part(&[BATCH, h, w, c], 2))
                    .collect(),
            };
            module.forward(&shapes.each_ref().map(features)).expect(text)
        };
        same(text, &fused(0, BATCH), &fused);
    }
}

#[test]
fn a_projector_gives_a_picture_the_same_bits_in_every_batch() {
    for (text, configured) in examples(Kind::Projector) {
        let Plugin::Projector(config) = configured.plugin else { panic!("{text}") };
        let input = TokensShape { tokens: 16, width: WIDTH };
        let mut store = Store::new(&Dev::default(), 7);
        let module = config.build(input, WIDTH, &mut store.root()).expect(text);
        let tokens = random(&[BATCH, input.tokens, input.width], 1);
        let projected = |first, count| {
            let part = ops::narrow(&tokens, 0, first, count).expect("a part");
            if config.packs().is_none() {
                return module.forward(&part).expect(text);
            }
            // Pictures of one tile each, so that all are of one length.
            let tile = Layout { rows: 1, columns: 1, thumbnail: None, padded: None };
            let packed = module.pack(&part, &vec![tile; count], (4, 4)).expect(text);
            packed.reshape(&[count, packed.rows().0 / count, WIDTH]).expect(text)
        };
        same(text, &projected(0, BATCH), &projected);
    }
}
