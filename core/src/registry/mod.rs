//! What experiments are made of: the plugins' traits, and the registry that collects them.
//!
//! A plugin is a plain configuration struct (see [`config!`](crate::config)) with one of the traits
//! of `traits.rs`, submitted with [`register!`](crate::register). The registry is a value that is passed to
//! `link`, so a program can't forget to mention the crate that its plugins live in.

mod nested;
mod objective;
mod promise;
mod tiled;
mod traits;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::weights::Keys;

pub use nested::NestedData;
pub use objective::{Backbone, Judgement, Labeller, Objective, ObjectiveConfig, Seen, Target};
pub use promise::{Cost, MapShape, Misfit, TokensShape};
pub use tiled::Tiled;
pub use traits::{
    BenchmarkConfig, DatasetConfig, Encoder, EncoderConfig, Features, Fusion, FusionConfig, Grid,
    KvCache, Llm, LlmConfig, NoTap, Projector, ProjectorConfig, Tap,
};

/// What a plugin is, and so where it may stand in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Image to feature map.
    Encoder,
    /// Feature maps to visual tokens.
    Fusion,
    /// Visual tokens to visual tokens of the LLM's width.
    Projector,
    /// Visual tokens and text to logits.
    Llm,
    /// A feature map to a loss: what an expert is taught by before an LLM reads it.
    Objective,
    /// What a stage trains on.
    Dataset,
    /// What a model is judged by.
    Benchmark,
}

impl Kind {
    /// Every kind, in the order in which data flows.
    pub const ALL: [Kind; 7] = [
        Kind::Encoder,
        Kind::Fusion,
        Kind::Projector,
        Kind::Llm,
        Kind::Objective,
        Kind::Dataset,
        Kind::Benchmark,
    ];

    /// Its name in messages: `vision encoder`, `data set`.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Encoder => "vision encoder",
            Kind::Fusion => "fusion",
            Kind::Projector => "projector",
            Kind::Llm => "LLM",
            Kind::Objective => "objective",
            Kind::Dataset => "data set",
            Kind::Benchmark => "benchmark",
        }
    }
}

/// A field of a plugin's configuration, as `eagle-lab plugins NAME` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in the file.
    pub name: &'static str,
    /// Its Rust type.
    pub kind: &'static str,
    /// What it means, with unit and range.
    pub docs: &'static [&'static str],
    /// Whether it only says where something lies: what lies there counts for an identity, this
    /// doesn't.
    pub location: bool,
}

/// What `config!` writes about a configuration.
pub trait Describe: Default + Serialize + DeserializeOwned {
    /// The plugin's name: the struct's.
    const NAME: &'static str;
    /// The struct's documentation, line by line.
    const DOCS: &'static [&'static str];
    /// Its fields, in order.
    const FIELDS: &'static [Field];
}

/// A plugin's configuration, by kind.
#[derive(Debug, Clone)]
pub enum Plugin {
    /// A vision encoder.
    Encoder(Arc<dyn EncoderConfig>),
    /// A fusion.
    Fusion(Arc<dyn FusionConfig>),
    /// A projector.
    Projector(Arc<dyn ProjectorConfig>),
    /// An LLM.
    Llm(Arc<dyn LlmConfig>),
    /// An objective.
    Objective(Arc<dyn ObjectiveConfig>),
    /// A data set.
    Dataset(Arc<dyn DatasetConfig>),
    /// A benchmark.
    Benchmark(Arc<dyn BenchmarkConfig>),
}

impl Plugin {
    /// What checkpoints of its reference have beside or instead of its parameters' names.
    pub fn keys(&self) -> Keys {
        match self {
            Plugin::Encoder(config) => config.keys(),
            Plugin::Fusion(config) => config.keys(),
            Plugin::Projector(config) => config.keys(),
            Plugin::Llm(config) => config.keys(),
            Plugin::Objective(config) => config.keys(),
            Plugin::Dataset(_) | Plugin::Benchmark(_) => Keys::default(),
        }
    }

    /// The `config.json` with which its reference implementation loads what is exported, if there is
    /// one.
    pub fn reference(&self) -> Option<serde_json::Value> {
        match self {
            Plugin::Encoder(config) => config.reference(),
            Plugin::Llm(config) => config.reference(),
            _ => None,
        }
    }
}

/// A parsed plugin: its configuration, and the part of it that decides the identity of what it
/// makes: the fields that differ from their defaults (so that a new field at its default leaves old
/// identities alone; a changed default or behaviour must raise the plugin's version), without those
/// that only say where something lies.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The configuration.
    pub plugin: Plugin,
    /// Name, version and the fields that differ from their defaults, locations left out, as JSON.
    pub identity: serde_json::Value,
}

/// A registered plugin.
pub struct Entry {
    /// The name by which files call it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The crate that it comes from.
    pub krate: &'static str,
    /// Raised when the same configuration comes to mean something else.
    pub version: u32,
    /// What it is, line by line.
    pub docs: &'static [&'static str],
    /// Its fields.
    pub fields: &'static [Field],
    /// Reads its configuration from RON text such as `ClipVit(image_size: 64)`.
    pub parse: fn(&str) -> Result<Configured, ron::error::SpannedError>,
    /// Its default configuration, as JSON.
    pub default: fn() -> serde_json::Value,
    /// Small configurations of it, one for each path through its code: the conformance test runs
    /// them.
    pub examples: &'static [&'static str],
}

inventory::collect!(Entry);

impl Entry {
    /// The entry of `C`, a plugin of the given kind; `wrap` makes it a [`Plugin`].
    pub const fn of<C: PluginOf<K>, K: KindTag>(
        krate: &'static str,
        version: u32,
        examples: &'static [&'static str],
    ) -> Entry {
        Entry {
            name: C::NAME,
            kind: K::KIND,
            krate,
            version,
            docs: C::DOCS,
            fields: C::FIELDS,
            parse: parse::<C, K>,
            default: || serde_json::to_value(C::default()).unwrap_or_default(),
            examples,
        }
    }
}

fn parse<C: PluginOf<K>, K: KindTag>(text: &str) -> Result<Configured, ron::error::SpannedError> {
    let config: C = crate::spec::ron_options().from_str(text)?;
    let fields = serde_json::to_value(&config).unwrap_or_default();
    let defaults = serde_json::to_value(C::default()).unwrap_or_default();
    let location = |name: &str| C::FIELDS.iter().any(|field| field.name == name && field.location);
    let changed: serde_json::Map<_, _> = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| defaults.get(name.as_str()) != Some(value) && !location(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let identity = serde_json::json!({ "plugin": C::NAME, "fields": changed });
    Ok(Configured { plugin: config.into_plugin(), identity })
}

/// Ties a configuration to its kind; [`register!`](crate::register) implements it.
pub trait PluginOf<K>: Describe {
    /// The configuration as a plugin.
    fn into_plugin(self) -> Plugin;
}

/// A kind as a type; the tags live in [`tags`].
pub trait KindTag {
    /// The kind.
    const KIND: Kind;
}

/// The kinds as types, for [`register!`](crate::register).
#[allow(non_camel_case_types)]
pub mod tags {
    use super::*;

    macro_rules! tag {
        ($($tag:ident $kind:ident $config:ident),* $(,)?) => {$(
            #[doc = concat!("The tag of [`Kind::", stringify!($kind), "`].")]
            pub struct $tag;
            impl KindTag for $tag {
                const KIND: Kind = Kind::$kind;
            }
            impl<C: Describe + $config + 'static> PluginOf<$tag> for C {
                fn into_plugin(self) -> Plugin {
                    Plugin::$kind(Arc::new(self))
                }
            }
        )*};
    }
    tag!(encoder Encoder EncoderConfig, fusion Fusion FusionConfig, projector Projector ProjectorConfig,
         llm Llm LlmConfig, objective Objective ObjectiveConfig, dataset Dataset DatasetConfig, benchmark Benchmark BenchmarkConfig);
}

/// Registers a configuration as a plugin: `register!(encoder ClipVit);`, with `version 2` after it
/// once its behaviour or a default has changed, and with small configurations for the conformance
/// test: `register!(encoder ClipVit, examples ["ClipVit(image_size: 16, width: 8)"]);`.
#[macro_export]
macro_rules! register {
    ($kind:ident $config:ty) => {
        $crate::register!($kind $config, version 1, examples []);
    };
    ($kind:ident $config:ty, version $version:literal) => {
        $crate::register!($kind $config, version $version, examples []);
    };
    ($kind:ident $config:ty, examples [$($example:literal),* $(,)?]) => {
        $crate::register!($kind $config, version 1, examples [$($example),*]);
    };
    ($kind:ident $config:ty, version $version:literal, examples [$($example:literal),* $(,)?]) => {
        $crate::inventory::submit! {
            $crate::registry::Entry::of::<$config, $crate::registry::tags::$kind>(
                env!("CARGO_PKG_NAME"), $version, &[$($example),*])
        }
    };
}

/// A plugin's configuration: a struct whose fields have a default and documentation, all in one
/// place. It gets serde with unknown fields refused, `Default`, and its description. `#[location]`
/// before a field keeps it out of the identity: a path, where the content's fingerprint counts.
#[macro_export]
macro_rules! config {
    (
        $(#[doc = $docs:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_docs:literal])*
                // The lifetime is never there: it stands for the mark below.
                $(#[location $($mark:lifetime)?])?
                $field:ident : $type:ty = $default:expr
            ),* $(,)?
        }
    ) => {
        $(#[doc = $docs])*
        #[derive(Debug, Clone, PartialEq, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "eagle_core::serde", default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $field_docs])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::registry::Describe for $name {
            const NAME: &'static str = stringify!($name);
            const DOCS: &'static [&'static str] = &[$($docs),*];
            const FIELDS: &'static [$crate::registry::Field] = &[$(
                $crate::registry::Field {
                    name: stringify!($field),
                    kind: stringify!($type),
                    docs: &[$($field_docs),*],
                    location: false $(|| true $($mark)?)?,
                },
            )*];
        }
    };
}

/// Two crates registered a plugin under one name.
#[derive(Debug, thiserror::Error)]
#[error("two plugins are called `{name}`: one of the crate `{first}`, one of the crate `{second}`")]
pub struct Duplicate {
    /// The name.
    pub name: &'static str,
    /// The crate whose plugin was met first.
    pub first: &'static str,
    /// The other crate.
    pub second: &'static str,
}

/// Every plugin of the program, by name.
#[derive(Clone)]
pub struct Registry {
    entries: BTreeMap<&'static str, &'static Entry>,
}

impl Registry {
    /// Everything that was registered in crates linked into this program.
    ///
    /// # Errors
    /// Two plugins have the same name.
    pub fn collect() -> Result<Registry, Duplicate> {
        Self::of(inventory::iter::<Entry>)
    }

    /// A registry of the given entries.
    ///
    /// # Errors
    /// Two plugins have the same name.
    pub fn of(entries: impl IntoIterator<Item = &'static Entry>) -> Result<Registry, Duplicate> {
        let mut sorted: Vec<&'static Entry> = entries.into_iter().collect();
        sorted.sort_by_key(|entry| (entry.name, entry.krate));
        let mut entries = BTreeMap::new();
        for entry in sorted {
            if let Some(first) = entries.insert(entry.name, entry) {
                return Err(Duplicate {
                    name: entry.name,
                    first: first.krate,
                    second: entry.krate,
                });
            }
        }
        Ok(Registry { entries })
    }

    /// The plugin called `name`.
    pub fn get(&self, name: &str) -> Option<&'static Entry> {
        self.entries.get(name).copied()
    }

    /// Every plugin, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Entry> {
        self.entries.values().copied()
    }
}
