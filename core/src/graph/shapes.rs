//! What flows between the nodes: ports first, then shapes, from the image to the LLM.

use std::fmt;
use std::io::ErrorKind;

use super::configure::misfit;
use super::draft::{Built, Draft, Input, Part};
use super::field::LARGEST;
use super::{Context, Port, Tiling, tiles};
use crate::nn::{ParamShape, Store, cost};
use crate::registry::{Backbone, Cost, Kind, LlmConfig, MapShape, Misfit, Plugin, TokensShape};
use crate::spec::{Problem, Span};
use crate::tensor::TensorError;
use crate::text::TextError;

/// Checks every node's inputs and finds its output, parameters and cost.
pub(super) fn flow(draft: &mut Draft<'_>, context: &Context<'_>) {
    let llm = llm(draft);
    for node in 0..draft.nodes.len() {
        super::ports::check(draft, node);
        alone(draft, node, context);
    }
    for node in draft.order.clone() {
        match built(draft, node, llm) {
            Ok(built) => draft.nodes[node].built = built,
            Err(problem) => draft.problems.push(*problem),
        }
    }
}

/// What other nodes must know of the LLM.
#[derive(Clone, Copy)]
struct Reader {
    width: usize,
    vocabulary: usize,
}

/// The only LLM.
fn llm(draft: &Draft<'_>) -> Option<Reader> {
    let mut llms = draft.nodes.iter().filter(|node| node.kind() == Some(Kind::Llm));
    let first = llms.next()?;
    match (llms.next(), first.known.as_ref()?.config.as_ref()?) {
        (None, Plugin::Llm(config)) => {
            Some(Reader { width: config.width(), vocabulary: config.vocabulary() })
        }
        _ => None,
    }
}

/// What can be wrong with a node whatever it reads.
fn alone(draft: &mut Draft<'_>, node: usize, context: &Context<'_>) {
    let part = &draft.nodes[node];
    let (invalid, tokenizer, embeddings) = match part.known.as_ref().and_then(|k| k.config.as_ref())
    {
        Some(Plugin::Llm(config)) => {
            let tokenizer = config.tokenizer(context.base).map(Some);
            (config.validate().err(), tokenizer, config.vocabulary())
        }
        Some(Plugin::Objective(config)) => {
            (None, config.tokenizer(context.base), config.vocabulary())
        }
        _ => return,
    };
    let plugin = &part.spec.plugin;
    let (mut found, mut absent) = (Vec::new(), None);
    found.extend(invalid.map(|error| misfit(plugin, error, &[])));
    match tokenizer {
        Err(error) => {
            let place = plugin.place("tokenizer").unwrap_or(plugin.name.span.clone());
            let help = "a relative path starts at the folder of this file";
            let problem = |message| Problem::new(message, place, "the tokenizer").help(help);
            match &error {
                TextError::Read { path, error } if error.kind() == ErrorKind::NotFound => {
                    let path = path.strip_prefix(context.base).unwrap_or(path);
                    absent = Some(problem(format!("there is no file {}", path.display())));
                }
                _ => found.push(problem(error.to_string())),
            }
        }
        Ok(Some(tokenizer)) if tokenizer.vocabulary_size() > embeddings => {
            let place = plugin.place("vocabulary").unwrap_or(plugin.name.span.clone());
            let tokens = tokenizer.vocabulary_size();
            let who = if part.kind() == Some(Kind::Llm) { "the LLM" } else { "the objective" };
            let message =
                format!("the tokenizer has {tokens} tokens, {who} only {embeddings} embeddings");
            let help = format!("set `vocabulary` to {tokens} or more");
            found.push(Problem::new(message, place, "too few embeddings").help(help));
        }
        Ok(_) => {}
    }
    let wrong = !found.is_empty();
    draft.problems.extend(found);
    draft.absent.extend(absent);
    if wrong && let Some(known) = &mut draft.nodes[node].known {
        known.config = None;
    }
}

type Found = Result<Option<Built>, Box<Problem>>;

/// A node's output, or `None` if something that it depends on is unknown.
fn built(draft: &Draft<'_>, node: usize, llm: Option<Reader>) -> Found {
    let part = &draft.nodes[node];
    let Some(config) = part.known.as_ref().and_then(|known| known.config.as_ref()) else {
        return Ok(None);
    };
    let wrong = |error: Misfit| Box::new(misfit(&part.spec.plugin, error, &arriving(draft, part)));
    let built = match config {
        Plugin::Encoder(config) => {
            let output = config.output().map_err(wrong)?;
            let output = Port::Features(output);
            sane(part, &output)?;
            let params = params(part, |store| config.build(&mut store.root()).map(drop))?;
            let tiling = tiles::of_encoder(part);
            Built { grid: grid(&output), output, tiling, cost: config.cost(), params }
        }
        Plugin::Fusion(config) => {
            let Some(inputs) = maps(draft, part) else { return Ok(None) };
            let advised = |error| wrong(tiles::advised(draft, part, error));
            let output = config.output(&inputs).map_err(advised)?;
            llm.map_or(Ok(()), |llm| config.meets(llm.vocabulary)).map_err(wrong)?;
            let output = Port::Tokens(output);
            sane(part, &output)?;
            let tiling = draft.tiling(part);
            let cost = cost::over(draft.tiles(tiling), config.cost(&inputs));
            let params = params(part, |store| config.build(&inputs, &mut store.root()).map(drop))?;
            Built { output, tiling, grid: config.grid(&inputs), cost, params }
        }
        Plugin::Projector(config) => {
            let (Some((_, input)), Some(llm)) = (visual(draft, part), llm) else {
                return Ok(None);
            };
            let width = llm.width;
            let config = config.as_ref();
            let output = config.output(input, width).map_err(wrong)?;
            tiles::packable(draft, part, config)?;
            let tiling = draft.tiling(part);
            let cost = cost::over(draft.tiles(tiling), config.cost(input, width));
            let params =
                params(part, |store| config.build(input, width, &mut store.root()).map(drop))?;
            let grid = config.grid(draft.grid(part)).map_err(wrong)?;
            let built = match tiles::packed(draft, part, config, output) {
                Some(output) => {
                    Built { output, tiling: Tiling::Packed, grid: draft.grid(part), cost, params }
                }
                None => Built { output: Port::Tokens(output), tiling, grid, cost, params },
            };
            sane(part, &built.output)?;
            built
        }
        Plugin::Llm(config) => {
            meets(draft, part, config.as_ref())?;
            let params = params(part, |store| config.build(&mut store.root()).map(drop))?;
            let cost = config.cost(config.context());
            let output = Port::Logits { vocabulary: config.vocabulary() };
            Built { output, tiling: Tiling::Whole, grid: None, cost, params }
        }
        Plugin::Objective(config) => {
            let Some(backbone) = backbone(draft, part) else { return Ok(None) };
            tiles::taught_whole(draft, part)?;
            config.meets(backbone).map_err(wrong)?;
            let params = params(part, |store| config.build(backbone, &mut store.root()).map(drop))?;
            let (tiling, cost) = (Tiling::Whole, config.cost(backbone));
            Built { output: Port::Loss, tiling, grid: None, cost, params }
        }
        Plugin::Dataset(_) | Plugin::Benchmark(_) => return Ok(None),
    };
    Ok(Some(built))
}

/// The grid of a map.
fn grid(output: &Port) -> Option<(usize, usize)> {
    match output {
        Port::Features(map) => map.grid,
        Port::Tokens(_) | Port::Logits { .. } | Port::Loss => None,
    }
}

/// Refuses an output that no machine could hold, before anything is multiplied with its size.
fn sane(part: &Part<'_>, output: &Port) -> Result<(), Box<Problem>> {
    match output.tokens() {
        Some(TokensShape { tokens, width }) if tokens > LARGEST || width > LARGEST => {
            let message = format!("`{}` would give {output}", part.spec.id.value);
            let problem = Problem::new(message, part.spec.plugin.name.span.clone(), "too large");
            let help = format!("a node gives at most {LARGEST} vectors of a width up to {LARGEST}");
            Err(Box::new(problem.help(help)))
        }
        _ => Ok(()),
    }
}

/// A module's parameters, without allocating them.
fn params(
    part: &Part<'_>,
    build: impl FnOnce(&mut Store) -> Result<(), TensorError>,
) -> Result<Vec<ParamShape>, Box<Problem>> {
    let mut store = Store::counting();
    match build(&mut store) {
        Ok(()) => Ok(store.shapes().to_vec()),
        Err(error) => {
            let message = format!("`{}` can't be built: {error}", part.spec.id.value);
            Err(Box::new(Problem::new(message, part.spec.plugin.name.span.clone(), "here")))
        }
    }
}

/// The places of `from` and what arrives there, as far as it is known.
fn arriving(draft: &Draft<'_>, part: &Part<'_>) -> Vec<(Span, Option<String>)> {
    let text = |input: &Option<Input>| match input {
        Some(Input::Node(node)) => {
            draft.nodes[*node].built.as_ref().map(|built| format!("gives {}", built.output))
        }
        _ => None,
    };
    let places = part.spec.from.iter().map(|from| from.span.clone());
    places.zip(part.inputs.iter().map(text)).collect()
}

/// A fusion's inputs, if all are known feature maps.
fn maps(draft: &Draft<'_>, part: &Part<'_>) -> Option<Vec<MapShape>> {
    let map = |input: &Option<Input>| match input {
        Some(Input::Node(node)) => match &draft.nodes[*node].built.as_ref()?.output {
            Port::Features(map) => Some(map.clone()),
            _ => None,
        },
        _ => None,
    };
    let maps: Vec<MapShape> = part.inputs.iter().map(map).collect::<Option<_>>()?;
    (!maps.is_empty()).then_some(maps)
}

/// The vision encoder that an objective reads, if it is known.
fn backbone<'d>(draft: &'d Draft<'_>, part: &Part<'_>) -> Option<Backbone<'d>> {
    let [Some(Input::Node(node))] = part.inputs[..] else { return None };
    let source = &draft.nodes[node];
    let Some(Plugin::Encoder(encoder)) = source.known.as_ref()?.config.as_ref() else {
        return None;
    };
    let Port::Features(shape) = &source.built.as_ref()?.output else { return None };
    Some(Backbone { encoder: encoder.as_ref(), shape })
}

/// The only visual input of a projector or an LLM, with its position, if it is known.
fn visual(draft: &Draft<'_>, part: &Part<'_>) -> Option<(usize, TokensShape)> {
    let mut nodes =
        part.inputs.iter().enumerate().filter(|(_, input)| **input != Some(Input::Text));
    let (at, Some(Input::Node(node))) = nodes.next()? else { return None };
    let only = nodes.next().is_none();
    let tokens = draft.nodes[*node].built.as_ref()?.output.tokens()?;
    only.then_some((at, tokens))
}

/// Whether the LLM can read what arrives.
fn meets(draft: &Draft<'_>, part: &Part<'_>, config: &dyn LlmConfig) -> Result<(), Box<Problem>> {
    let Some((at, tokens)) = visual(draft, part) else { return Ok(()) };
    let from = &part.spec.from[at];
    let Some(Input::Node(source)) = part.inputs[at] else { return Ok(()) };
    let source = &draft.nodes[source];
    let plugin = &part.spec.plugin;
    if tokens.width != config.width() {
        let message = format!(
            "`{}` gives visual tokens of width {}, but `{}` has width {}",
            from.value,
            tokens.width,
            part.spec.id.value,
            config.width()
        );
        let place = plugin.place("width").unwrap_or(plugin.name.span.clone());
        let problem =
            Problem::new(message, from.span.clone(), format!("gives {}", TokensOf(tokens)))
                .other(source.spec.plugin.name.span.clone(), "comes from here")
                .other(place, format!("needs width {}", config.width()));
        let help = match source.kind() {
            Some(Kind::Projector) => "a projector must give the LLM's width",
            _ => "put a projector between, such as `Linear()` or `Mlp(depth: 2)`",
        };
        return Err(Box::new(problem.help(help)));
    }
    let most = source.built.as_ref().map_or(tokens.tokens, |built| tiles::most(draft, built));
    if most >= config.context() {
        let message = format!(
            "{most} visual tokens leave no room for text in a context of {}",
            config.context()
        );
        let place = plugin.place("context").unwrap_or(plugin.name.span.clone());
        let of = if most == tokens.tokens { "" } else { " a tile" };
        let problem = Problem::new(message, place, "the longest sequence, in tokens")
            .other(from.span.clone(), format!("gives {}{of}", TokensOf(tokens)));
        return Err(Box::new(problem.help("raise `context`, or give fewer visual tokens")));
    }
    Ok(())
}

/// Visual tokens in words.
struct TokensOf(TokensShape);

impl fmt::Display for TokensOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens of width {}", self.0.tokens, self.0.width)
    }
}

impl Port {
    /// Its visual tokens, if it gives any: those of a feature map are its vectors.
    pub fn tokens(&self) -> Option<TokensShape> {
        match self {
            Port::Features(map) => Some(TokensShape { tokens: map.tokens, width: map.width }),
            Port::Tokens(tokens) => Some(*tokens),
            Port::Logits { .. } | Port::Loss => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Features(MapShape { grid: Some((rows, columns)), width, .. }) => {
                write!(f, "{rows}x{columns} vectors of width {width}")
            }
            Port::Features(MapShape { tokens, width, .. }) => {
                write!(f, "{tokens} vectors of width {width}")
            }
            Port::Tokens(tokens) => TokensOf(*tokens).fmt(f),
            Port::Logits { vocabulary } => write!(f, "logits over {vocabulary}"),
            Port::Loss => write!(f, "a loss"),
        }
    }
}

/// The sum of the cost of all nodes.
pub(super) fn total(costs: impl IntoIterator<Item = Cost>) -> Cost {
    costs.into_iter().fold(Cost::default(), |sum, cost| sum + cost)
}
