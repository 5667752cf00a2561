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
    /// Ends of parameters' names, and how they are spelled instead.
    spelled: &'static [(&'static str, &'static str)],
    /// What it has besides, with the prefix where it has it.
    besides: &'static [&'static str],
}

const LAYOUTS: &[Layout] = &[
    // timm/convnext_xxlarge.clip_laion2b_soup_ft_in1k
    Layout {
        fixture: "conv-next-xxlarge",
        prefix: "",
        spelled: &[],
        besides: &["head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"],
    },
    // laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup
    Layout {
        fixture: "conv-next-xxlarge",
        prefix: "visual.trunk.",
        spelled: &[],
        besides: &["visual.trunk.head.norm.weight", "visual.head.proj.weight", "logit_scale"],
    },
    // NVEagle/Eagle-X5-7B
    Layout {
        fixture: "conv-next-xxlarge",
        prefix: "model.vision_tower.vision_towers.1.vision_tower.",
        spelled: &[("gamma", "weight")],
        besides: &[
            "model.vision_tower.vision_towers.1.vision_tower.head.fc.bias",
            "model.vision_tower.vision_towers.2.vision_tower.pos_embed",
        ],
    },
    // facebook/sam-vit-large
    Layout {
        fixture: "sam-vit-eagle",
        prefix: "vision_encoder.",
        spelled: &[],
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
        spelled: &[],
        besides: &["model.mm_projector.0.weight"],
    },
    // Yuxin-CV/EVA-02, eva02_L_coco_det_sys_o365.pth
    Layout {
        fixture: "eva02-vit-whole-windows",
        prefix: "backbone.net.",
        spelled: &[],
        besides: &[
            "backbone.net.rope_win.freqs_cos",
            "backbone.net.rope_glb.freqs_sin",
            "backbone.net.blocks.1.attn.rope.freqs_cos",
            "backbone.simfp_2.0.weight",
            "roi_heads.box_head.0.fc1.weight",
        ],
    },
    // google/siglip-so400m-patch14-384
    Layout {
        fixture: "siglip-vit-shrunk",
        prefix: "",
        spelled: &[],
        besides: &[
            "text_model.final_layer_norm.weight",
            "vision_model.head.attention.in_proj_weight",
            "vision_model.encoder.layers.2.mlp.fc1.weight",
            "vision_model.post_layernorm.weight",
            "logit_bias",
        ],
    },
    // facebook/dinov2-with-registers-large
    Layout {
        fixture: "dino-v2-vit-registers",
        prefix: "",
        spelled: &[],
        besides: &["embeddings.mask_token"],
    },
    // OpenGVLab/InternVL2-8B
    Layout {
        fixture: "intern-vit-6b-shrunk",
        prefix: "vision_model.",
        spelled: &[],
        besides: &["vision_model.encoder.layers.2.ls1", "mlp1.0.weight"],
    },
    // timm/eva02_large_patch14_clip_336.merged2b_s6b_b61k
    Layout {
        fixture: "eva-clip-vit-eva02",
        prefix: "visual.trunk.",
        spelled: &[],
        besides: &["visual.trunk.head.weight", "text.transformer.resblocks.0.ln_1.weight"],
    },
    // QuanSun/EVA-CLIP, EVA02_CLIP_L_336_psz14_s6B.pt
    Layout {
        fixture: "eva-clip-vit-eva02",
        prefix: "visual.",
        spelled: &[
            ("attn.q_proj.bias", "attn.q_bias"),
            ("attn.v_proj.bias", "attn.v_bias"),
            ("attn.norm.weight", "attn.inner_attn_ln.weight"),
            ("attn.norm.bias", "attn.inner_attn_ln.bias"),
            ("mlp.fc1_g.weight", "mlp.w1.weight"),
            ("mlp.fc1_g.bias", "mlp.w1.bias"),
            ("mlp.fc1_x.weight", "mlp.w2.weight"),
            ("mlp.fc1_x.bias", "mlp.w2.bias"),
            ("mlp.norm.weight", "mlp.ffn_ln.weight"),
            ("mlp.norm.bias", "mlp.ffn_ln.bias"),
            ("mlp.fc2.weight", "mlp.w3.weight"),
            ("mlp.fc2.bias", "mlp.w3.bias"),
        ],
        besides: &[
            "visual.head.bias",
            "visual.rope.freqs_cos",
            "visual.blocks.1.attn.rope.freqs_sin",
        ],
    },
    // google/pix2struct-large
    Layout {
        fixture: "pix2-struct-wide",
        prefix: "encoder.",
        spelled: &[],
        besides: &["decoder.embed_tokens.weight", "decoder.layer.0.mlp.wo.weight"],
    },
];

/// A layout's own words for one of the encoder's names.
fn spelled(layout: &Layout, key: &str) -> String {
    let name = match layout.spelled.iter().find(|(ours, _)| key.ends_with(ours)) {
        Some((ours, theirs)) => key.replace(ours, theirs),
        None => key.to_owned(),
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
