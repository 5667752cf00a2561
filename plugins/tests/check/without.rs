//! An experiment without some of its experts: what the edit takes and what it leaves.

use eagle_core::spec::{self, File, Weights, without};

const FILE: &str = r#"Experiment(
    name: "x3",
    nodes: [
        // The first expert.
        (id: "clip", plugin: ClipVit(), from: ["image"]),
        (id: "clip-2", plugin: ClipVit(), from: ["image"], weights: From("clip.ron")), // another
        (id: "sam", plugin: ClipVit(), from: ["image"]),
        (id: "fuse", plugin: ChannelConcat(), from: ["clip", "clip-2", "sam"]),
        (id: "llm", plugin: Llama(), from: ["fuse", "text"]),
    ],
    stages: [
        (name: "one", train: ["sam", "clip.blocks[-6:]", "clip[0]", "clip-2", "llm"], data: MiniWorld(),
         batch: 8, lr: 1e-3, lr_of: [("clip.blocks[-6:]", 1e-4), ("llm", 1e-5), ("sam", 1e-6),]),
        (name: "two", train: ["llm"], data: MiniWorld(), batch: 8, lr: 1e-3, lr_of: [("clip", 1)]),
    ],
)
"#;

#[test]
fn a_node_goes_with_its_parts_and_everything_else_stays_as_written() {
    let text = without(FILE, &["clip"]).unwrap();
    let expected = FILE
        .replace("(id: \"clip\", plugin: ClipVit(), from: [\"image\"]),\n        ", "")
        .replace("[\"clip\", \"clip-2\", \"sam\"]", "[\"clip-2\", \"sam\"]")
        .replace("\"clip.blocks[-6:]\", \"clip[0]\", ", "")
        .replace("(\"clip.blocks[-6:]\", 1e-4), ", "")
        .replace("[(\"clip\", 1)]", "[]");
    assert_eq!(text, expected);
}

#[test]
fn last_ones_and_all_of_a_list_leave_no_comma_behind() {
    let text = without(FILE, &["clip-2", "sam"]).unwrap();
    assert!(text.contains("from: [\"clip\"]"), "{text}");
    assert!(text.contains("train: [\"clip.blocks[-6:]\", \"clip[0]\", \"llm\"]"), "{text}");
    assert!(text.contains("[(\"clip.blocks[-6:]\", 1e-4), (\"llm\", 1e-5),]"), "{text}");
    let text = without(FILE, &["clip", "clip-2", "sam"]).unwrap();
    assert!(text.contains("from: []") && text.contains("lr_of: []"), "{text}");
    let (Some(File::Experiment(experiment)), _) = spec::read(&text) else { panic!("{text}") };
    assert_eq!(experiment.nodes.len(), 2);
}

#[test]
fn every_set_of_experts_reads_as_an_experiment_of_the_others() {
    let experts = ["clip", "clip-2", "sam"];
    for set in 0..8usize {
        let named = |keep: bool| {
            experts.iter().enumerate().filter(move |(at, _)| (set >> at & 1 == 1) == keep)
        };
        let gone: Vec<&str> = named(false).map(|(_, id)| *id).collect();
        let text = without(FILE, &gone).unwrap();
        let (Some(File::Experiment(read)), problems) = spec::read(&text) else { panic!("{text}") };
        assert!(problems.is_empty(), "{gone:?}: {problems:?}\n{text}");
        let kept: Vec<&str> = named(true).map(|(_, id)| *id).collect();
        let from: Vec<&str> =
            read.nodes[kept.len()].from.iter().map(|f| f.value.as_str()).collect();
        assert_eq!(from, kept);
        assert_eq!(read.nodes.iter().filter(|n| n.id.value == "clip-2").count(), set >> 1 & 1);
        let from = |node: &&spec::NodeSpec| matches!(node.weights.value, Weights::From { .. });
        assert_eq!(read.nodes.iter().filter(from).count(), set >> 1 & 1);
    }
}

#[test]
fn a_node_that_is_not_there_is_refused() {
    let problem = without(FILE, &["clip", "smm"]).unwrap_err();
    assert!(problem.message.contains("`smm`") && problem.help.unwrap().contains("`sam`"));
    assert!(without("Experiment(", &["clip"]).is_err());
    assert_eq!(without(FILE, &[]).unwrap(), FILE);
}
