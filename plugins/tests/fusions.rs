//! What the fusions promise and start from, beyond what holds for every plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eagle_core::nn::Store;
use eagle_core::registry::{Features, FusionConfig, MapShape, Plugin, TokensShape};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Dev, Param, Tensor};
use std::sync::Arc;

fn fusion(text: &str) -> Arc<dyn FusionConfig> {
    let registry = eagle_plugins::registry().unwrap();
    let entry = registry.get(text.split('(').next().unwrap()).expect(text);
    match (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")).plugin {
        Plugin::Fusion(config) => config,
        _ => panic!("{text} is no fusion"),
    }
}

/// CLIP, ConvNeXt and SAM at the resolutions of the paper's comparison of fusions.
fn experts() -> Vec<MapShape> {
    let stages = vec![(256, 256, 384), (128, 128, 768), (64, 64, 1536)];
    vec![
        MapShape::on_grid((32, 32), 1024).with_blocks(24),
        MapShape { pyramid: stages, ..MapShape::on_grid((32, 32), 3072) },
        MapShape::on_grid((64, 64), 256),
    ]
}

fn promise(text: &str, experts: &[MapShape]) -> (usize, usize) {
    let TokensShape { tokens, width } = fusion(text).output(experts).expect(text);
    (tokens, width)
}

#[test]
fn visual_tokens_are_the_papers() {
    // Table of fusions with CLIP and ConvNeXt: 2048 appended, 1024 otherwise.
    let two = &experts()[..2];
    assert_eq!(promise("SequenceAppend()", two), (2048, 3072));
    for text in ["ChannelConcat()", "LlavaHr()", "MiniGemini()", "DeformableAttention()"] {
        assert_eq!(promise(text, two).0, 1024, "{text}");
    }
}

#[test]
fn any_number_of_experts_of_any_grid_and_width_is_joined() {
    let three = &experts();
    assert_eq!(promise("SequenceAppend(width: 512)", three), (1024 + 1024 + 4096, 512));
    assert_eq!(promise("ChannelConcat()", three), (1024, 1024 + 3072 + 256));
    assert_eq!(promise("ChannelConcat(resample: Unshuffle)", three), (1024, 5120));
    for text in ["LlavaHr()", "MiniGemini()", "DeformableAttention()", "Mova()"] {
        assert_eq!(promise(text, three), (1024, 1024), "{text}");
    }
    assert_eq!(promise("Mousi(patches: [1, 1, 8])", three), (1024 + 1024 + 64, 3072));
    assert_eq!(promise("Brave(queries: 32)", three), (32, 768));
    assert_eq!(promise("Sva()", three), (576, 1024));
}

#[test]
fn a_map_on_no_grid_is_named() {
    let mut lost = experts();
    lost[1].grid = None;
    for text in [
        "ChannelConcat()",
        "LlavaHr()",
        "MiniGemini()",
        "DeformableAttention()",
        "Mova()",
        "Sva()",
        "Mousi(patches: [1, 2, 1])",
    ] {
        let misfit = fusion(text).output(&lost).expect_err(text);
        assert_eq!(misfit.input, Some(1), "{text}");
    }
    assert!(fusion("Brave()").output(&lost).is_ok(), "a sequence needs no grid");
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).unwrap()
}

/// A fusion of a map of 4 x 4 and one of `other`, its parameters and the maps.
fn small(text: &str, other: &MapShape) -> (Vec<Param>, Vec<Features>, Tensor) {
    let shapes = [MapShape::on_grid((4, 4), 8).with_blocks(4), other.clone()];
    let config = fusion(text);
    let mut store = Store::new(&Dev::default(), 3);
    let module = config.build(&shapes, &mut store.root()).unwrap();
    let seen: Vec<Features> = (0..2)
        .map(|i| Features {
            map: random(&[2, shapes[i].tokens, shapes[i].width], i as u64),
            grid: shapes[i].grid,
            pyramid: Vec::new(),
        })
        .collect();
    let out = module.forward(&seen).unwrap();
    (store.into_params(), seen, out)
}

#[test]
fn points_start_in_a_direction_for_each_head_and_farther_out_for_each_point() {
    let other = MapShape::on_grid((8, 8), 6);
    let (params, ..) = small("DeformableAttention(heads: 8, points: 2)", &other);
    let values = |name: &str| {
        let param = params.iter().find(|param| param.name() == name).expect(name);
        param.tensor().host().into_owned()
    };
    // `_init_weights` of Deformable DETR: on squares around the token, not on circles.
    let corners = [[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]];
    let expected = corners.iter().flat_map(|[x, y]| [*x, *y, 2 * x, 2 * y]);
    for (found, expected) in values("sampling_offsets.bias").iter().zip(expected) {
        assert!((found - expected as f32).abs() < 1e-6, "{found}, not {expected}");
    }
    for name in ["sampling_offsets.weight", "attention_weights.weight", "attention_weights.bias"] {
        assert!(values(name).iter().all(|value| *value == 0.0), "{name}");
    }
}

#[test]
fn an_adapter_that_starts_as_nothing_gives_the_first_experts_map() {
    let other = MapShape::on_grid((6, 6), 6);
    let (_, seen, out) = small("Mova(heads: 2)", &other);
    assert!(out.host() == seen[0].map.host(), "Mova changes the map");
    let (_, seen, out) = small("Mova(heads: 2, zero_init: false)", &other);
    assert!(out.host() != seen[0].map.host(), "Mova does nothing");
}

#[test]
fn a_token_sees_its_own_window_alone() {
    let other = MapShape::on_grid((8, 8), 6);
    let config = fusion("MiniGemini()");
    let shapes = [MapShape::on_grid((4, 4), 8), other];
    let mut store = Store::new(&Dev::default(), 3);
    let module = config.build(&shapes, &mut store.root()).unwrap();
    let low = Features { map: random(&[1, 16, 8], 1), grid: Some((4, 4)), pyramid: Vec::new() };
    let forward = |map: Vec<f32>| {
        let map = Tensor::new(&Dev::default(), map, &[1, 64, 6]).unwrap();
        let high = Features { map, grid: Some((8, 8)), pyramid: Vec::new() };
        module.forward(&[low.clone(), high]).unwrap().host().into_owned()
    };
    let map = random(&[1, 64, 6], 2).host().into_owned();
    let before = forward(map.clone());
    let mut changed = map;
    // Row 5, column 2 of 8 x 8 lies in row 2, column 1 of 4 x 4.
    changed[(5 * 8 + 2) * 6] += 1.0;
    let after = forward(changed);
    let moved: Vec<usize> =
        (0..16).filter(|token| before[token * 8..][..8] != after[token * 8..][..8]).collect();
    assert_eq!(moved, [2 * 4 + 1]);
}

#[test]
fn a_fusion_that_reads_no_pyramid_gives_the_same_without() {
    let stages = MapShape { pyramid: vec![(8, 8, 4)], ..MapShape::on_grid((4, 4), 6) };
    let shapes = [MapShape::on_grid((3, 3), 8).with_blocks(4), stages];
    let map = |i: usize| random(&[2, shapes[i].tokens, shapes[i].width], i as u64);
    let seen = |pyramid: Vec<Tensor>| {
        let low = Features { map: map(0), grid: shapes[0].grid, pyramid: Vec::new() };
        vec![low, Features { map: map(1), grid: shapes[1].grid, pyramid }]
    };
    let mut differ = Vec::new();
    for entry in eagle_plugins::registry().unwrap().iter() {
        for text in entry.examples {
            let Plugin::Fusion(config) = (entry.parse)(text).unwrap().plugin else { continue };
            let mut store = Store::new(&Dev::default(), 3);
            let module = config.build(&shapes, &mut store.root()).unwrap();
            let with = module.forward(&seen(vec![random(&[2, 8, 8, 4], 9)])).unwrap();
            if config.reads_pyramids() {
                let other = module.forward(&seen(vec![random(&[2, 8, 8, 4], 10)])).unwrap();
                assert!(with.host() != other.host(), "{text} doesn't read the pyramid");
                differ.push(entry.name);
            } else {
                let without = module.forward(&seen(Vec::new())).unwrap();
                assert!(with.host() == without.host(), "{text} reads the pyramid");
            }
        }
    }
    assert_eq!(differ, ["DeformableAttention", "MiniGemini"]);
}

#[test]
fn what_could_never_learn_is_refused_or_not_built() {
    let three = &experts();
    let misfit = fusion("Mova(top_k: 1)").output(three).expect_err("a gate of one share");
    assert_eq!(misfit.field, Some("top_k"));
    let (params, ..) = small("Mova(heads: 2)", &MapShape::on_grid((6, 6), 6));
    assert!(params.iter().all(|param| !param.name().contains("gate")), "nothing to choose");
    let one_point = fusion("DeformableAttention(points: 1, levels: 1)");
    let misfit = one_point.output(&three[..2]).expect_err("a weight of one point");
    assert_eq!(misfit.field, Some("points"));
    assert!(one_point.output(three).is_ok(), "two experts are two levels");
}
