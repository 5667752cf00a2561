//! Which nodes see tiles, and whether those agree that are to be joined.
//!
//! Under fixed tiles an encoder gives one map, as without. Adaptive tiles are pictures of their own to
//! everything between the image and the LLM; since all of that is joined in the end, either every
//! encoder sees them, chosen alike, or none does.

use std::sync::Arc;

use super::draft::{Built, Draft, Input, Part};
use super::{Port, Tiling};
use crate::data::tiles::{Tiles, VisualTokens};
use crate::registry::{Kind, Misfit, Plugin, ProjectorConfig, Tiled, TokensShape};
use crate::spec::Problem;

/// Makes the encoders see tiles whose nodes say so.
pub(super) fn cut(draft: &mut Draft<'_>) {
    for part in &mut draft.nodes {
        let Some(tiles) = &part.spec.tiles else { continue };
        let Some(known) = &mut part.known else { continue };
        if known.entry.kind != Kind::Encoder {
            let message = format!("`{}` can't see tiles", part.spec.id.value);
            let text = super::configure::article(known.entry.kind.noun());
            let problem = Problem::new(message, tiles.span.clone(), "the tiles of a picture")
                .other(part.spec.plugin.name.span.clone(), text);
            draft.problems.push(problem.help("`tiles` belongs to a vision encoder"));
            continue;
        }
        let Some(Plugin::Encoder(encoder)) = &known.config else { continue };
        let tiled = Tiled::new(encoder.clone(), tiles.value.clone());
        known.config = Some(Plugin::Encoder(Arc::new(tiled)));
        if let Some(identity) = known.identity.as_object_mut() {
            let tiles = serde_json::to_value(&tiles.value).unwrap_or_default();
            identity.insert("tiles".to_owned(), tiles);
        }
    }
}

/// The adaptive tiles of a node, with all defaults filled in.
fn adaptive(part: &Part<'_>) -> Option<Tiles> {
    match part.known.as_ref()?.config.as_ref()? {
        Plugin::Encoder(config) => config.image().adaptive().cloned(),
        _ => None,
    }
}

/// Reports encoders that see other tiles than the first one with adaptive tiles does.
pub(super) fn agree(draft: &mut Draft<'_>) {
    let encoder = |part: &&Part<'_>| part.kind() == Some(Kind::Encoder);
    let known = |part: &&Part<'_>| part.known.as_ref().is_some_and(|known| known.config.is_some());
    let encoders = || draft.nodes.iter().filter(encoder).filter(known);
    let Some((first, tiles)) = encoders().find_map(|part| Some((part, adaptive(part)?))) else {
        return;
    };
    let place = |part: &Part<'_>| {
        let plugin = part.spec.plugin.name.span.clone();
        part.spec.tiles.as_ref().map_or(plugin, |tiles| tiles.span.clone())
    };
    let problem = |part: &Part<'_>| {
        let (one, other) = (&first.spec.id.value, &part.spec.id.value);
        let message = format!("`{other}` doesn't see the tiles that `{one}` sees");
        let (text, help) = match adaptive(part) {
            Some(_) => (
                "chooses by another rule or size",
                "give both the same `tiles`, with one `tile` by whose pixels both choose",
            ),
            None => (
                "sees whole pictures",
                "what is joined tile by tile must see the same tiles: give both the same `tiles`, \
                 or make all of them `Fixed`",
            ),
        };
        Problem::new(message, place(part), text)
            .other(place(first), "a number of tiles that depends on the picture")
            .help(help)
    };
    let other = |part: &&Part<'_>| adaptive(part).as_ref() != Some(&tiles);
    let found: Vec<Problem> = encoders().filter(other).map(problem).collect();
    draft.problems.extend(found);
}

impl Draft<'_> {
    /// The most tiles that are pictures of their own to a node of this tiling; else 1.
    pub(super) fn tiles(&self, tiling: Tiling) -> usize {
        match (tiling, self.nodes.iter().find_map(adaptive)) {
            (Tiling::Tile, Some(tiles)) => tiles.range().1,
            _ => 1,
        }
    }

    /// What the nodes give that another one reads.
    fn inputs<'a>(&'a self, part: &'a Part<'_>) -> impl Iterator<Item = &'a Built> {
        part.inputs.iter().filter_map(|input| match input {
            Some(Input::Node(node)) => self.nodes[*node].built.as_ref(),
            _ => None,
        })
    }

    /// What arrives at a node.
    pub(super) fn tiling(&self, part: &Part<'_>) -> Tiling {
        self.inputs(part)
            .map(|built| built.tiling)
            .find(|t| *t != Tiling::Whole)
            .unwrap_or_default()
    }

    /// The grid of the tokens that arrive at a projector.
    pub(super) fn grid(&self, part: &Part<'_>) -> Option<(usize, usize)> {
        self.inputs(part).find_map(|built| built.grid)
    }
}

/// What an encoder gives, as a whole or for each tile.
pub(super) fn of_encoder(part: &Part<'_>) -> Tiling {
    if adaptive(part).is_some() { Tiling::Tile } else { Tiling::Whole }
}

/// Packed tokens that a projector can't read, or tokens that it can't pack.
pub(super) fn packable(
    draft: &Draft<'_>,
    part: &Part<'_>,
    config: &dyn ProjectorConfig,
) -> Result<(), Box<Problem>> {
    let from = || part.spec.from.first().map_or(part.spec.span.clone(), |from| from.span.clone());
    let name = || part.spec.plugin.name.span.clone();
    let id = &part.spec.id.value;
    let wrong = |message: String, text: &str, help: &str| {
        let problem = Problem::new(message, from(), text).other(name(), "reads it").help(help);
        Err(Box::new(problem))
    };
    match (draft.tiling(part), config.packs()) {
        (Tiling::Packed, _) => wrong(
            format!("`{id}` can't read packed tokens"),
            "one sequence a picture, of a length that depends on it",
            "only an LLM reads them: pack after every other projector",
        ),
        (Tiling::Whole, Some(_)) => wrong(
            format!("`{id}` has no tiles to pack"),
            "gives one map or sequence a picture",
            "give the vision encoder `tiles: LlavaNext(…)` or `InternVl(…)`, or leave this node out",
        ),
        (Tiling::Tile, Some(_)) if draft.grid(part).is_none() => wrong(
            format!("`{id}` can't pack tokens that lie on no grid"),
            "the rows of the picture are not known",
            "leave this node out: tiles' tokens then follow one another",
        ),
        _ => Ok(()),
    }
}

/// Refuses an objective that teaches an encoder of tiles: what is known of a picture is told of the
/// whole of it.
pub(super) fn taught_whole(draft: &Draft<'_>, part: &Part<'_>) -> Result<(), Box<Problem>> {
    let encoder = part.inputs.iter().find_map(|input| match input {
        Some(Input::Node(node)) => Some(&draft.nodes[*node]),
        _ => None,
    });
    let Some((encoder, tiles)) = encoder.and_then(|e| Some((e, e.spec.tiles.as_ref()?))) else {
        return Ok(());
    };
    let (id, objective) = (&encoder.spec.id.value, &part.spec.id.value);
    let message = format!("`{objective}` can't teach `{id}`, which sees tiles");
    let problem = Problem::new(message, tiles.span.clone(), "an objective is about whole pictures");
    Err(Box::new(
        problem.help(
            "leave out `tiles` here; they may be added to an experiment that takes the weights",
        ),
    ))
}

/// What a fusion says of an input, with what tiles have to do with it.
pub(super) fn advised(draft: &Draft<'_>, part: &Part<'_>, misfit: Misfit) -> Misfit {
    let input = misfit.input.and_then(|input| part.inputs.get(input).copied().flatten());
    let Some(Input::Node(node)) = input else { return misfit };
    let Some(tiles) = &draft.nodes[node].spec.tiles else { return misfit };
    match tiles.value {
        Tiles::Fixed { thumbnail: true, .. } => misfit.help(
            "a thumbnail's vectors stand behind the tiles' map, on no grid: leave out `thumbnail`",
        ),
        Tiles::Fixed { .. } if draft.injects(part) == Some(node) => misfit.help(
            "nothing can be injected between blocks that see parts of a joint map: leave out `tiles`, \
             or let every encoder see `LlavaNext(…)` or `InternVl(…)` tiles",
        ),
        _ => misfit,
    }
}

/// The most visual tokens of a picture that a node gives.
pub(super) fn most(draft: &Draft<'_>, built: &Built) -> usize {
    let tokens = built.output.tokens().map_or(0, |tokens| tokens.tokens);
    tokens.saturating_mul(draft.tiles(built.tiling))
}

/// What a projector that packs gives, at most, of tiles of `each` tokens.
pub(super) fn packed(
    draft: &Draft<'_>,
    part: &Part<'_>,
    config: &dyn ProjectorConfig,
    each: TokensShape,
) -> Option<Port> {
    let packed = Some((config.packs()?, draft.grid(part)?));
    let tiles = draft.nodes.iter().find_map(adaptive);
    let tokens = VisualTokens { each: each.tokens, tiles, packed }.most();
    Some(Port::Tokens(TokensShape { tokens, ..each }))
}
