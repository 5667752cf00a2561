//! Weights under the names that released checkpoints give them: the sources' own, and those of
//! EAGLE's. Only the names are real; the tensors are the parity fixtures'.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;

use eagle_core::nn::Store;
use eagle_core::registry::Plugin;
use eagle_core::tensor::{Dev, Param};
use eagle_core::weights::{self, Bundle, Files, Keys, WeightsError};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/parity");

/// A released checkpoint, as far as an encoder sees it.
struct Layout {
    fixture: &'static str,
    /// What stands before the encoder's names.
    prefix: &'static str,
    /// The end of a parameter's name, and how it is spelled instead.
    spelled: Option<(&'static str, &'static str)>,
    /// What it has besides, with the prefix where it has it.
    besides: &'static [&'static str],
}

const LAYOUTS: &[Layout] = &[
    // timm/convnext_xxlarge.clip_laion2b_soup_ft_in1k
    Layout {
        fixture: "conv-next-xxlarge",
        prefix: "",
        spelled: None,
        besides: &["head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"],
    },
    // laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup
    Layout {
        fixture: "conv-next-xxlarge",
        prefix: "visual.trunk.",
        spelled: None,
        besides: &["visual.trunk.head.norm.weight", "visual.head.proj.weight", "logit_scale"],
    },
    // NVEagle/Eagle-X5-7B
    Layout {
        fixture: "conv-next-xxlarge",
        prefix: "model.vision_tower.vision_towers.1.vision_tower.",
        spelled: Some(("gamma", "weight")),
        besides: &[
            "model.vision_tower.vision_towers.1.vision_tower.head.fc.bias",
            "model.vision_tower.vision_towers.2.vision_tower.pos_embed",
        ],
    },
    // facebook/sam-vit-large
    Layout {
        fixture: "sam-vit-eagle",
        prefix: "vision_encoder.",
        spelled: None,
        besides: &[
            "vision_encoder.neck.conv2.weight",
            "vision_encoder.neck.layer_norm2.bias",
            "prompt_encoder.no_mask_embed.weight",
        ],
    },
    // NVEagle/Eagle-X5-7B
    Layout {
        fixture: "sam-vit-eagle",
        prefix: "model.vision_tower.vision_towers.2.vision_tower.",
        spelled: None,
        besides: &["model.mm_projector.0.weight"],
    },
    // Yuxin-CV/EVA-02, eva02_L_coco_det_sys_o365.pth
    Layout {
        fixture: "eva02-vit-whole-windows",
        prefix: "backbone.net.",
        spelled: None,
        besides: &[
            "backbone.net.rope_win.freqs_cos",
            "backbone.net.rope_glb.freqs_sin",
            "backbone.net.blocks.1.attn.rope.freqs_cos",
            "backbone.simfp_2.0.weight",
            "roi_heads.box_head.0.fc1.weight",
        ],
    },
    // google/pix2struct-large
    Layout {
        fixture: "pix2-struct-wide",
        prefix: "encoder.",
        spelled: None,
        besides: &["decoder.embed_tokens.weight", "decoder.layer.0.mlp.wo.weight"],
    },
];

/// A layout's own words for one of the encoder's names.
fn spelled(layout: &Layout, key: &str) -> String {
    let name = match layout.spelled {
        Some((ours, theirs)) if key.ends_with(ours) => key.replace(ours, theirs),
        _ => key.to_owned(),
    };
    format!("{}{name}", layout.prefix)
}

fn bundle_of(fixture: &str) -> Bundle {
    let path = Path::new(FIXTURES).join(format!("{fixture}.safetensors"));
    Bundle::read(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// The encoder of a fixture, with values of its own.
fn encoder(bundle: &Bundle) -> (Vec<Param>, Keys) {
    let text = bundle.notes.get("plugin").expect("the note `plugin`");
    let registry = eagle_plugins::registry().expect("no duplicates");
    let entry = registry.get(text.split('(').next().unwrap_or_default()).expect(text);
    let plugin = (entry.parse)(text).expect(text).plugin;
    let mut store = Store::new(&Dev::default(), 5);
    if let Plugin::Encoder(config) = &plugin {
        drop(config.build(&mut store.root()).expect(text));
    }
    (store.into_params(), plugin.keys())
}

/// The fixture's weights as `layout` names them, and `more`, written and loaded again.
fn load(layout: &Layout, more: &[&str]) -> (Bundle, Vec<Param>, Result<(), WeightsError>) {
    let fixture = bundle_of(layout.fixture);
    let (params, keys) = encoder(&fixture);
    let mut checkpoint = Bundle::default();
    for (name, tensor) in &fixture.tensors {
        if let Some(key) = name.strip_prefix("weights/") {
            checkpoint.tensors.insert(spelled(layout, key), tensor.clone());
        }
    }
    for name in layout.besides.iter().chain(more) {
        checkpoint.tensors.insert((*name).to_owned(), (vec![2], vec![7.0, 8.0]));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    checkpoint.write(&path).expect("a file");
    let files = Files::open(&path).expect("a checkpoint");
    let result = weights::load_files(&params, &files, layout.prefix, &keys);
    (fixture, params, result)
}

#[test]
fn released_checkpoints_load_under_their_own_names() {
    for layout in LAYOUTS {
        let (fixture, params, result) = load(layout, &[]);
        result.unwrap_or_else(|error| panic!("{}: {error}", layout.fixture));
        for param in &params {
            let (_, want) = &fixture.tensors[&format!("weights/{}", param.name())];
            assert_eq!(&param.tensor().host()[..], want, "{}{}", layout.prefix, param.name());
        }
    }
}

#[test]
fn what_no_released_checkpoint_has_is_refused() {
    for layout in LAYOUTS {
        let stranger = format!("{}blocks.0.stranger", layout.prefix);
        let (_, _, result) = load(layout, &[&stranger]);
        let error = result.expect_err(layout.fixture).to_string();
        assert!(error.contains(&format!("surplus: {stranger}")), "{error}");
    }
}
