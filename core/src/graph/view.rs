//! What the later steps ask of a linked graph.

use petgraph::graph::NodeIndex;
use serde::Serialize;
use serde::ser::Serializer;

use super::{Graph, Port, Source, Tiling};
use crate::data::tiles::{Tiles, VisualTokens};
use crate::registry::{LlmConfig, MapShape, Plugin, TokensShape};

impl Graph {
    /// Whether no stage trains parameter number `param` of a node, and its module doesn't change it.
    pub fn settles(&self, node: NodeIndex, param: usize) -> bool {
        let trained = self.stages.iter().any(|stage| stage.trains_param(node, param));
        !trained && !self.dag[node].params[param].buffer
    }

    /// The name by which `from` calls a source.
    pub fn source_name(&self, source: &Source) -> String {
        match source {
            Source::Image => "image".into(),
            Source::Text => "text".into(),
            Source::Node(index) => self.dag[*index].id.clone(),
        }
    }

    /// The feature maps that a node reads, in the order of `from`.
    pub fn map_inputs(&self, index: NodeIndex) -> Vec<MapShape> {
        let map = |source: &Source| match source {
            Source::Node(input) => match &self.dag[*input].output {
                Port::Features(map) => Some(map.clone()),
                Port::Tokens(_) | Port::Logits { .. } | Port::Loss => None,
            },
            Source::Image | Source::Text => None,
        };
        self.dag[index].inputs.iter().filter_map(map).collect()
    }

    /// The feature map that a node gives; an empty one if it gives something else.
    pub fn map_shape(&self, index: NodeIndex) -> MapShape {
        match &self.dag[index].output {
            Port::Features(map) => map.clone(),
            Port::Tokens(_) | Port::Logits { .. } | Port::Loss => MapShape::on_grid((0, 0), 0),
        }
    }

    /// Whether a fusion reads the pyramid of an encoder, and not its last map alone.
    pub fn pyramid_is_read(&self, encoder: NodeIndex) -> bool {
        self.dag.node_weights().any(|node| match &node.plugin {
            Plugin::Fusion(config) => {
                config.reads_pyramids() && node.inputs.contains(&Source::Node(encoder))
            }
            _ => false,
        })
    }

    /// The fusion that injects between the blocks of an encoder: its parameters and its other inputs
    /// decide what the encoder gives, too.
    pub fn injector(&self, encoder: NodeIndex) -> Option<NodeIndex> {
        self.order.iter().copied().find(|&index| match &self.dag[index].plugin {
            Plugin::Fusion(config) => config.injects().is_some_and(|input| {
                self.dag[index].inputs.get(input) == Some(&Source::Node(encoder))
            }),
            _ => false,
        })
    }

    /// The visual tokens that a node reads; a feature map's vectors are visual tokens, too.
    pub fn token_inputs(&self, index: NodeIndex) -> Vec<TokensShape> {
        let tokens = |source: &Source| match source {
            Source::Node(input) => match &self.dag[*input].output {
                Port::Features(map) => Some(TokensShape { tokens: map.tokens, width: map.width }),
                Port::Tokens(tokens) => Some(*tokens),
                Port::Logits { .. } | Port::Loss => None,
            },
            Source::Image | Source::Text => None,
        };
        self.dag[index].inputs.iter().filter_map(tokens).collect()
    }

    /// Visual tokens per image, as the LLM reads them; the most where that depends on the image.
    pub fn visual_tokens(&self) -> usize {
        self.visual().most()
    }

    /// The visual tokens of each image, as the LLM reads them.
    pub fn visual(&self) -> VisualTokens {
        let Some(llm) = self.llm else { return VisualTokens::fixed(0) };
        let nodes = self.dag[llm].inputs.iter();
        let mut nodes = nodes.filter_map(|source| match source {
            Source::Node(node) => Some(&self.dag[*node]),
            Source::Image | Source::Text => None,
        });
        let each = self.token_inputs(llm).iter().map(|input| input.tokens).sum();
        match (nodes.next(), self.tiles()) {
            (Some(node), Some(tiles)) => {
                let packing = match &node.plugin {
                    Plugin::Projector(config) => config.packs(),
                    _ => None,
                };
                VisualTokens { each, tiles: Some(tiles), packed: packing.zip(node.grid) }
            }
            _ => VisualTokens::fixed(each),
        }
    }

    /// How pictures are cut, where that depends on them: then all encoders agree.
    pub fn tiles(&self) -> Option<Tiles> {
        self.dag.node_weights().find_map(|node| match &node.plugin {
            Plugin::Encoder(config) => config.image().adaptive().cloned(),
            _ => None,
        })
    }

    /// The most tiles of a picture that are pictures of their own to a node; else 1.
    pub fn tiles_at(&self, index: NodeIndex) -> usize {
        match (self.dag[index].tiling, self.tiles()) {
            (Tiling::Tile, Some(tiles)) => tiles.range().1,
            _ => 1,
        }
    }

    /// The width of the LLM's token embeddings.
    pub fn llm_width(&self) -> usize {
        self.llm_config().map_or(0, LlmConfig::width)
    }

    /// Whether a fusion reads the questions.
    pub fn reads_questions(&self) -> bool {
        let reads = |plugin: &Plugin| match plugin {
            Plugin::Fusion(config) => config.reads_questions(),
            _ => false,
        };
        self.dag.node_weights().any(|node| reads(&node.plugin))
    }

    /// The LLM's context, in tokens; 0 without one.
    pub fn context(&self) -> usize {
        self.llm_config().map_or(0, LlmConfig::context)
    }

    /// The LLM's configuration; `None` if the graph ends in objectives.
    pub fn llm_config(&self) -> Option<&dyn LlmConfig> {
        match &self.dag[self.llm?].plugin {
            Plugin::Llm(llm) => Some(llm.as_ref()),
            _ => None,
        }
    }

    /// The weights that the node called `id` starts from.
    pub fn weights_of(&self, id: &str) -> Option<&crate::spec::Weights> {
        self.dag.node_weights().find(|node| node.id == id).map(|node| &node.weights)
    }

    /// The longest sequence in which a benchmark is asked: the last stage's, in tokens.
    pub fn exam_length(&self) -> usize {
        self.stages.len().checked_sub(1).map_or(self.context(), |last| self.length(last))
    }

    /// The longest sequence of stage number `stage`, in tokens.
    pub fn length(&self, stage: usize) -> usize {
        let limit = self.stages.get(stage).and_then(|stage| stage.spec.max_length);
        limit.unwrap_or(usize::MAX).min(self.context())
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        enum Form<'a> {
            Features(&'a MapShape),
            Tokens(&'a TokensShape),
            Logits { vocabulary: usize },
            Loss,
        }
        match self {
            Port::Features(map) => Form::Features(map),
            Port::Tokens(tokens) => Form::Tokens(tokens),
            Port::Logits { vocabulary } => Form::Logits { vocabulary: *vocabulary },
            Port::Loss => Form::Loss,
        }
        .serialize(serializer)
    }
}
