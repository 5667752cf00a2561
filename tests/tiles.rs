//! Pictures of many shapes in adaptive tiles, from a data set to scores.
#![allow(clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};

use eagle_core::weights::Bundle;
use support::{assert_same, call, fixture, folder, refuse, succeed, text, write};

/// An experiment in `home` on 24 samples of three pictures, and of none.
fn experiment(home: &Path, tiles: &str) -> PathBuf {
    let pictures = fixture("preprocess/processors");
    let entry = |index: usize| {
        let picture = ["landscape.png", "portrait.png", "small.png", ""][index % 4];
        let image =
            if picture.is_empty() { String::new() } else { format!("\"image\": {picture:?},") };
        let mark = if picture.is_empty() { "" } else { "<image>\\n" };
        format!(
            "{{\"id\": \"{index}\", {image} \"conversations\": [
                {{\"from\": \"human\", \"value\": \"{mark}what colour is the circle ?\"}},
                {{\"from\": \"gpt\", \"value\": \"{}\"}}]}}",
            ["red", "blue", "green"][index % 3]
        )
    };
    let entries: Vec<String> = (0..24).map(entry).collect();
    write(home, "data.json", &format!("[{}]", entries.join(",")));
    let data = format!("path: \"data.json\", images: {:?}", text(&pictures));
    let source = format!(
        "Experiment(
            name: \"tiled\",
            nodes: [
                (id: \"clip\", plugin: ClipVit(image_size: 16, patch_size: 4, width: 16, layers: 1, heads: 2), from: [\"image\"], tiles: {tiles}),
                (id: \"project\", plugin: Mlp(depth: 2), from: [\"clip\"]),
                (id: \"pack\", plugin: PackTiles(), from: [\"project\"]),
                (id: \"llm\", plugin: Llama(width: 32, layers: 1, heads: 2, hidden: 64, vocabulary: 256, context: 256), from: [\"pack\", \"text\"]),
            ],
            stages: [
                (name: \"pre-training\", train: [\"project\", \"pack\"], data: LlavaJson({data}), epochs: 2, batch: 5, lr: 1e-3, template: \"mini\", flip: true),
                (name: \"fine-tuning\", train: [\"clip\", \"project\", \"pack\", \"llm\"], data: LlavaJson({data}), batch: 4, accumulate: 2, lr: 1e-3, template: \"mini\"),
            ],
            evaluate: [LlavaVqa({data}, max_new_tokens: 4)],
        )"
    );
    write(home, "tiled.ron", &source)
}

const NEXT: &str = "LlavaNext(grids: [(1, 2), (2, 1), (2, 2)])";

#[test]
fn tiles_that_are_kept_are_those_that_are_not_and_threads_change_nothing() {
    let (off, on, home) = (folder(), folder(), folder());
    let file = experiment(home.path(), NEXT);
    let run = |out: &Path, more: &[&str]| {
        let output = call(&[&["run", text(&file), "--out", text(out)], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    run(off.path(), &["--threads", "1", "--set", "stages.pre-training.feature_cache=Off"]);
    let said = run(on.path(), &["--threads", "2"]);
    assert!(said.contains("frozen features"), "{said}");
    assert_same(off.path(), on.path());
}

#[test]
fn a_plan_tells_the_most_visual_tokens_and_the_tiles() {
    let home = folder();
    let file = experiment(home.path(), NEXT);
    let plan = succeed(&["plan", text(&file)]);
    // The whole picture, and four tiles of four by four with a newline a row.
    assert!(plan.contains("up to 88 visual tokens (3 to 5 tiles)"), "{plan}");
    assert!(plan.contains("4x4 vectors of width 16 a tile, 3 to 5 tiles"), "{plan}");
    assert!(plan.contains("up to 88 tokens of width 32"), "{plan}");
    let file = experiment(home.path(), "Fixed(rows: 2, columns: 2)");
    let (code, said) = refuse(&["check", text(&file)]);
    assert_eq!(code, 2);
    assert!(said.contains("no tiles to pack"), "{said}");
}

#[test]
fn a_trace_reads_tiles_and_the_sizes_of_their_pictures() {
    let (home, at) = (folder(), |home: &Path, name: &str| home.join(name));
    let file = experiment(home.path(), NEXT);
    let (inputs, outputs) = (at(home.path(), "in.safetensors"), at(home.path(), "out.safetensors"));
    let mut bundle = Bundle::default();
    let pixels: Vec<f32> = (0..6 * 3 * 16 * 16).map(|i| (i % 17) as f32 / 17.0).collect();
    bundle.tensors.insert("image".into(), (vec![6, 3, 16, 16], pixels));
    bundle.tensors.insert("ids".into(), (vec![2, 3], vec![1.0, -200.0, 2.0, 1.0, -200.0, 3.0]));
    bundle.write(&inputs).expect("inputs");
    let trace = ["trace", text(&file), "--inputs", text(&inputs), "--outputs", text(&outputs)];
    let (_, said) = refuse(&trace);
    assert!(said.contains("no `image_sizes` [B, 2]"), "{said}");
    let sizes = |bundle: &mut Bundle, sizes: [f32; 4]| {
        bundle.tensors.insert("image_sizes".into(), (vec![2, 2], sizes.to_vec()));
        bundle.write(&inputs).expect("inputs");
    };
    sizes(&mut bundle, [16.0, 31.0, 16.0, 500.0]);
    let (_, said) = refuse(&trace);
    assert!(said.contains("trace them one by one"), "{said}");
    sizes(&mut bundle, [500.0, 500.0, 16.0, 31.0]);
    let (_, said) = refuse(&trace);
    assert!(said.contains("[5, 3] tiles, together not 6"), "{said}");
    sizes(&mut bundle, [16.0, 31.0, 16.0, 31.0]);
    let said = succeed(&trace);
    // The whole picture, and four rows of eight with a newline.
    assert!(said.contains("pack [1, 104, 32]"), "{said}");
    assert!(said.contains("clip [6, 16, 16]"), "{said}");
    assert!(said.contains("llm [2, 54, 256]"), "{said}");
}
