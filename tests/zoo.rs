//! Experts are pre-trained by objectives, judged by their metrics and taken by others, through the
//! program; the teacher of self-distillation survives kills bit by bit.
#![allow(clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use eagle_core::seed::Rng;
use eagle_core::weights::Bundle;
use support::{assert_same, folder, program, refuse, succeed, text, write};

const CLIP: &str =
    "(id: \"clip\", plugin: ClipVit(image_size: 32, patch_size: 8, width: 16, layers: 1,
    heads: 2, fit: Stretch), from: [\"image\"]";

/// A stage of a few updates.
fn stage(train: &str, data: &str) -> String {
    format!(
        "(name: \"pre-training\", train: [{train}], data: {data}, batch: 8, lr: 1e-3, checkpoint_every: 3)"
    )
}

const DATA: &str = "MiniWorld(families: [Word, Caption], samples: 96)";
const TEST: &str = "MiniWorld(split: Test, families: [Word, Caption], samples: 24)";

fn expert(home: &Path) -> PathBuf {
    let stage = stage("\"clip\", \"masks\", \"boxes\", \"letters\", \"captions\"", DATA);
    let source = format!(
        "Experiment(name: \"expert\", nodes: [{CLIP}),
            (id: \"masks\", plugin: Segmentation(), from: [\"clip\"]),
            (id: \"boxes\", plugin: Detection(), from: [\"clip\"]),
            (id: \"letters\", plugin: TextRecognition(upsample: 2), from: [\"clip\"]),
            (id: \"captions\", plugin: Contrastive(embed: 8, width: 8, layers: 1, heads: 2), from: [\"clip\"]),
         ], stages: [{stage}], evaluate: [{TEST}])"
    );
    write(home, "expert.ron", &source)
}

/// The only `weights.safetensors` of a results folder that holds `parameter`.
fn weights(out: &Path, parameter: &str) -> Bundle {
    let stages = std::fs::read_dir(out.join("cache/stages")).expect("stages");
    let files = stages.map(|entry| entry.expect("an entry").path().join("weights.safetensors"));
    let mut bundles = files.map(|file| Bundle::read(&file).expect("weights"));
    bundles.find(|bundle| bundle.tensors.contains_key(parameter)).expect("a stage that trains it")
}

#[test]
fn an_expert_is_taught_judged_and_taken_by_a_probe() {
    let (home, out) = (folder(), folder());
    let expert = expert(home.path());
    succeed(&["run", text(&expert), "--out", text(out.path())]);
    let scores = |experiment: &str| {
        let sql = format!(
            "SELECT benchmark, metric, blind FROM scores s JOIN runs r ON s.run = r.run \
             WHERE experiment = '{experiment}' ORDER BY benchmark, blind"
        );
        succeed(&["query", &sql, "--format", "csv", "--out", text(out.path())])
    };
    let found = scores("expert");
    for (node, metric) in [
        ("masks", "mean-iou"),
        ("boxes", "ap50"),
        ("letters", "character-accuracy"),
        ("captions", "recall@1"),
    ] {
        for blind in ["false", "true"] {
            let line = format!("{node},{metric},{blind}");
            assert!(found.lines().any(|found| found == line), "no {line} in\n{found}");
        }
    }
    let stage = stage("\"masks\"", DATA);
    let probe = format!(
        "Experiment(name: \"probe\", nodes: [{CLIP}, weights: From(\"expert.ron\")),
            (id: \"masks\", plugin: Segmentation(), from: [\"clip\"]),
            (id: \"views\", plugin: SelfDistillation(), from: [\"clip\"], weights: Random),
            (id: \"neighbours\", plugin: NearestNeighbours(), from: [\"clip\"]),
         ], stages: [{stage}], evaluate: [{TEST}])"
    );
    let probe = write(home.path(), "probe.ron", &probe);
    let said = succeed(&["plan", text(&probe)]);
    assert!(said.contains("frozen features are kept: clip"), "{said}");
    succeed(&["run", text(&probe), "--out", text(out.path())]);
    let found = scores("probe");
    assert!(found.contains("views,recall@1,false"), "{found}");
    assert!(found.contains("neighbours,knn-accuracy,false"), "{found}");
    assert!(found.contains("masks,mean-iou,false"), "{found}");
    let alone = weights(out.path(), "clip/vision_model.pre_layrnorm.weight");
    assert!(alone.tensors.contains_key("captions/logit_scale"));
    let count = |folder: &str| std::fs::read_dir(out.path().join(folder)).expect(folder).count();
    assert_eq!(count("cache/features"), 2, "features of the training and of the test pictures");
    assert_eq!(count("cache/stages"), 2, "the expert is not trained again");
}

#[test]
fn a_teacher_that_is_killed_again_and_again_ends_with_the_same_bytes() {
    let (home, whole, out) = (folder(), folder(), folder());
    let stage = stage("\"clip\", \"dino\"", "MiniWorld(samples: 240)");
    let source = format!(
        "Experiment(name: \"dino\", nodes: [{CLIP}),
            (id: \"dino\", plugin: SelfDistillation(hidden: 16, bottleneck: 8, prototypes: 16, local_views: 1),
             from: [\"clip\"])], stages: [{stage}], evaluate: [MiniWorld(split: Test, samples: 24)])"
    );
    let file = write(home.path(), "dino.ron", &source);
    succeed(&["run", text(&file), "--out", text(whole.path())]);
    let mut rng = Rng::new(7);
    let mut kills = 0;
    loop {
        let mut child = program()
            .args(["run", text(&file), "--out", text(out.path())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // Long enough to get on, and longer as it fails to.
        let delay = 30.0 + (100.0 + 10.0 * f64::from(kills)) * f64::from(rng.uniform());
        std::thread::sleep(Duration::from_micros((delay * 1e3) as u64));
        if let Some(ended) = child.try_wait().expect("a child") {
            assert!(ended.success(), "it failed after {kills} kills");
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("a child");
        kills += 1;
        assert!(kills < 500, "it never comes to its end");
    }
    assert_same(whole.path(), out.path());
    let weights = weights(out.path(), "dino/centre");
    let teacher = "dino/teacher.encoder.vision_model.pre_layrnorm.weight";
    let student = "clip/vision_model.pre_layrnorm.weight";
    assert_ne!(weights.tensors[teacher], weights.tensors[student], "the teacher lags behind");
}

#[test]
fn a_sample_that_teaches_nothing_is_named() {
    let (home, out) = (folder(), folder());
    let stage = stage("\"clip\", \"masks\"", "MiniWorld(samples: 16)");
    let source = format!(
        "Experiment(name: \"few\", nodes: [{CLIP}),
            (id: \"masks\", plugin: Segmentation(classes: 1), from: [\"clip\"])], stages: [{stage}])"
    );
    let file = write(home.path(), "few.ron", &source);
    let (code, said) = refuse(&["run", text(&file), "--out", text(out.path())]);
    assert_eq!(code, 1, "{said}");
    for part in ["mini-world/train/0/", "`classes` is 1", "`masks`"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}
