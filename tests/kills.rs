//! A study that is killed a hundred times, at any instant, ends as one that was left alone.
#![allow(clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use eagle_core::seed::Rng;
use support::{assert_same, folder, program, succeed, text, write};

/// Eight trials that share a first stage, whose encoders are frozen so that their features are kept.
fn study(home: &Path) -> std::path::PathBuf {
    let base = "Experiment(
        name: \"base\",
        nodes: [
            (id: \"clip\", plugin: ClipVit(image_size: 32, patch_size: 8, width: 16, layers: 1, heads: 2,
                fit: Stretch), from: [\"image\"], weights: Random),
            (id: \"convnext\", plugin: ConvNext(image_size: 32, depths: [1, 1], widths: [8, 16],
                fit: Stretch), from: [\"image\"], weights: Random),
            (id: \"fuse\", plugin: ChannelConcat(grid: 4), from: [\"clip\", \"convnext\"]),
            (id: \"project\", plugin: Linear(), from: [\"fuse\"]),
            (id: \"llm\", plugin: Llama(width: 32, layers: 1, heads: 2, hidden: 64, vocabulary: 256,
                context: 128), from: [\"project\", \"text\"], weights: Random),
        ],
        stages: [
            (name: \"warming-up\", train: [\"project\"], data: MiniWorld(samples: 256, turns: 2), epochs: 2,
             batch: 8, lr: 1e-3, template: \"mini\", checkpoint_every: 4),
            (name: \"tuning\", train: [\"clip.blocks[-1:]\", \"project\", \"llm\"],
             data: MiniWorld(samples: 256, turns: 2), batch: 8, lr: 1e-3, template: \"mini\",
             checkpoint_every: 4),
        ],
        evaluate: [MiniVqa(family: Colour, samples: 40)],
    )";
    write(home, "base.ron", base);
    let study = "Study(name: \"rates\", base: \"base.ron\",
        vary: [Set(\"stages.tuning.lr\", [1e-2, 5e-3, 2e-3, 1e-3])], seeds: [0, 1])";
    write(home, "study.ron", study)
}

#[test]
fn a_study_killed_a_hundred_times_ends_with_the_same_bytes() {
    let (home, whole) = (folder(), folder());
    let study = study(home.path());
    succeed(&["run", text(&study), "--jobs", "2", "--out", text(whole.path())]);
    let mut rng = Rng::new(7);
    let (mut kills, mut passes) = (0, 0);
    while kills < 100 {
        let out = folder();
        // One pass: killed and started again until it comes to its end.
        loop {
            let mut child = program()
                .args(["run", text(&study), "--jobs", "2", "--out", text(out.path())])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            // Mostly short, so that it needs many sittings; at times long enough to get on.
            let delay = 3.0 + 250.0 * f64::from(rng.uniform()).powi(2);
            std::thread::sleep(Duration::from_micros((delay * 1e3) as u64));
            if let Some(ended) = child.try_wait().expect("a child") {
                assert!(ended.success(), "it failed after {kills} kills");
                break;
            }
            child.kill().expect("SIGKILL");
            child.wait().expect("a child");
            kills += 1;
            assert!(kills < 5000, "it never comes to its end");
        }
        passes += 1;
        assert_same(whole.path(), out.path());
    }
    println!("{kills} kills in {passes} passes");
}
