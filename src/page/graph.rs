//! An experiment's graph, drawn: nodes in layers from the picture down to the LLM (after Sugiyama,
//! Tagawa and Toda, 1981: layers by longest path, order by barycentres, long edges over dummies).

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::chart::short;
use super::escape;

/// A node as it is drawn.
struct Box {
    id: String,
    lines: [String; 4],
    class: &'static str,
    inputs: Vec<String>,
    injected_by: Option<String>,
}

const WIDE: f64 = 136.0;
const HIGH: f64 = 72.0;
const GAP: (f64, f64) = (14.0, 34.0);
/// The width of a dummy that a long edge runs over.
const THIN: f64 = 16.0;

/// The graph of a stage's plan, as `eagle-lab plan --format json` gives it; nothing if it has none.
/// `id` is unique in the page.
pub fn graph(plan: &Value, id: &str, title: &str) -> String {
    let boxes = boxes(plan);
    if boxes.is_empty() {
        return String::new();
    }
    let layers = ordered(&boxes);
    let places = placed(&layers);
    let width = places.values().map(|place| place.0 + half(place.2)).fold(0.0, f64::max) + 2.0;
    let height = layers.len() as f64 * (HIGH + GAP.1) - GAP.1 + 4.0;
    let mut body = format!(
        "<defs><marker id=\"{id}-a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path class=\"arrow\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n"
    );
    for one in &boxes {
        for input in &one.inputs {
            body += &edge(&route(&places, input, &one.id), id, "edge");
        }
        if let Some(fusion) = &one.injected_by {
            body += &injected(&places, fusion, &one.id, id);
        }
    }
    boxes.iter().for_each(|one| body += &drawn(one, places[&one.id]));
    let nodes: Vec<&str> = boxes.iter().map(|one| one.id.as_str()).collect();
    format!(
        "<figure class=\"graph\"><div class=\"wide\"><svg viewBox=\"0 0 {width:.0} {height:.0}\" \
         style=\"width:{width:.0}px\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">From top to bottom: {}</desc>\n\
         {body}</svg></div>\n<figcaption><strong>{}</strong></figcaption></figure>\n",
        escape(title),
        escape(&nodes.join(", ")),
        escape(title)
    )
}

fn boxes(plan: &Value) -> Vec<Box> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = plan["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let mut boxes: Vec<Box> = Vec::new();
    for source in ["image", "text"] {
        let reads = |node: &Value| {
            node["inputs"].as_array().is_some_and(|from| from.iter().any(|one| one == source))
        };
        if nodes.iter().any(reads) {
            let lines = [source.to_owned(), String::new(), String::new(), String::new()];
            let (id, inputs) = (source.to_owned(), Vec::new());
            boxes.push(Box { id, lines, class: "", inputs, injected_by: None });
        }
    }
    for node in nodes {
        let parameters = node["parameters"].as_f64().unwrap_or(0.0);
        let class = match (node["trained"].as_bool(), parameters > 0.0) {
            (Some(true), _) => " trained",
            (_, true) => " frozen",
            _ => "",
        };
        let state = match class {
            " trained" => ", trained",
            " frozen" => ", frozen",
            _ => "",
        };
        let size = if parameters > 0.0 { rounded(parameters) } else { "no weights".into() };
        let lines =
            [text(&node["id"]), text(&node["plugin"]), size + state, output(&node["output"])];
        let from = node["inputs"].as_array().into_iter().flatten();
        boxes.push(Box {
            id: text(&node["id"]),
            lines,
            class,
            inputs: from.map(text).collect(),
            injected_by: node["injected_by"].as_str().map(str::to_owned),
        });
    }
    boxes
}

/// A count with three digits at most.
fn rounded(count: f64) -> String {
    let unit = 10f64.powf((count.max(1.0).log10().floor() - 2.0).max(0.0));
    short((count / unit).round() * unit)
}

/// What a node gives, in few words.
fn output(output: &Value) -> String {
    if let Some(map) = output.get("features") {
        let side = match map["grid"].as_array().map(Vec::as_slice) {
            Some([h, w]) => format!("{h}×{w}"),
            _ => map["tokens"].to_string(),
        };
        format!("{side} × {}", map["width"])
    } else if let Some(tokens) = output.get("tokens") {
        format!("{} tokens × {}", tokens["tokens"], tokens["width"])
    } else {
        let vocabulary = output["logits"]["vocabulary"].as_f64().unwrap_or(0.0);
        format!("{} words", short(vocabulary))
    }
}

/// What stands in a layer: a node, or a dummy of the edge from one node to another.
type Slot = String;

fn dummy(from: &str, to: &str, layer: usize) -> Slot {
    format!("{from}\u{1}{to}\u{1}{layer}")
}

/// The layers from top to bottom, each from left to right.
fn ordered(boxes: &[Box]) -> Vec<Vec<Slot>> {
    let depth = depths(boxes);
    let deepest = depth.values().copied().max().unwrap_or(0);
    let mut layers: Vec<Vec<Slot>> = vec![Vec::new(); deepest + 1];
    let mut above: BTreeMap<Slot, Vec<Slot>> = BTreeMap::new();
    for one in boxes {
        layers[depth[one.id.as_str()]].push(one.id.clone());
        for input in &one.inputs {
            let (Some(&from), to) = (depth.get(input.as_str()), depth[one.id.as_str()]) else {
                continue;
            };
            let mut last = input.clone();
            for (layer, slots) in layers.iter_mut().enumerate().take(to).skip(from + 1) {
                let slot = dummy(input, &one.id, layer);
                slots.push(slot.clone());
                above.entry(slot.clone()).or_default().push(last);
                last = slot;
            }
            above.entry(one.id.clone()).or_default().push(last);
        }
    }
    for _ in 0..4 {
        for layer in 1..layers.len() {
            let (done, rest) = layers.split_at_mut(layer);
            let place = |slot: &Slot| done[layer - 1].iter().position(|known| known == slot);
            let centre = |slot: &Slot| {
                let places: Vec<usize> =
                    above.get(slot).into_iter().flatten().filter_map(place).collect();
                let sum: usize = places.iter().sum();
                if places.is_empty() { f64::MAX } else { sum as f64 / places.len() as f64 }
            };
            rest[0].sort_by(|a, b| centre(a).total_cmp(&centre(b)));
        }
    }
    layers
}

/// The layer of each node: as far down as its inputs need; what reads nothing, as far as it can be.
fn depths(boxes: &[Box]) -> BTreeMap<&str, usize> {
    let mut depth: BTreeMap<&str, usize> = boxes.iter().map(|one| (one.id.as_str(), 0)).collect();
    // The graph has no cycle, so that this ends after as many rounds as it has nodes.
    for _ in boxes {
        for one in boxes {
            let inputs = one.inputs.iter().filter_map(|input| depth.get(input.as_str()));
            let below = inputs.map(|input| input + 1).max().unwrap_or(0);
            depth.insert(&one.id, below);
        }
    }
    for one in boxes.iter().filter(|one| one.inputs.is_empty()) {
        let readers = boxes.iter().filter(|other| other.inputs.contains(&one.id));
        let first = readers.map(|reader| depth[reader.id.as_str()]).min().unwrap_or(1);
        depth.insert(&one.id, first.saturating_sub(1));
    }
    depth
}

/// The centre, top and width of every slot.
fn placed(layers: &[Vec<Slot>]) -> BTreeMap<Slot, (f64, f64, f64)> {
    let size = |slot: &Slot| if slot.contains('\u{1}') { THIN } else { WIDE };
    let length = |layer: &Vec<Slot>| {
        layer.iter().map(size).sum::<f64>() + GAP.0 * layer.len().saturating_sub(1) as f64
    };
    let widest = layers.iter().map(length).fold(0.0, f64::max);
    let mut places = BTreeMap::new();
    for (row, layer) in layers.iter().enumerate() {
        let mut left = 2.0 + (widest - length(layer)) / 2.0;
        for slot in layer {
            let wide = size(slot);
            let top = 2.0 + row as f64 * (HIGH + GAP.1);
            places.insert(slot.clone(), (left + half(wide), top, wide));
            left += wide + GAP.0;
        }
    }
    places
}

fn half(length: f64) -> f64 {
    length / 2.0
}

/// The points that an edge runs over, from the bottom of one node to the top of another.
fn route(places: &BTreeMap<Slot, (f64, f64, f64)>, from: &str, to: &str) -> Vec<(f64, f64)> {
    let (Some(start), Some(end)) = (places.get(from), places.get(to)) else { return Vec::new() };
    let mut points = vec![(start.0, start.1 + HIGH)];
    let between =
        places.iter().filter(|(slot, _)| slot.starts_with(&format!("{from}\u{1}{to}\u{1}")));
    let mut between: Vec<_> = between.map(|(_, place)| *place).collect();
    between.sort_by(|a, b| a.1.total_cmp(&b.1));
    points.extend(between.iter().flat_map(|(x, y, _)| [(*x, *y), (*x, y + HIGH)]));
    points.push((end.0, end.1 - 1.0));
    points
}

fn edge(points: &[(f64, f64)], id: &str, class: &str) -> String {
    let [first, rest @ ..] = points else { return String::new() };
    let mut path = format!("M{:.1} {:.1}", first.0, first.1);
    let mut last = *first;
    for &(x, y) in rest {
        let middle = half(last.1 + y);
        let _ = write!(path, "C{:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}", last.0);
        last = (x, y);
    }
    format!("<path class=\"{class}\" marker-end=\"url(#{id}-a)\" d=\"{path}\"/>\n")
}

/// What a fusion does between an encoder's blocks: a dashed line from its side to the encoder's.
fn injected(
    places: &BTreeMap<Slot, (f64, f64, f64)>,
    fusion: &str,
    encoder: &str,
    id: &str,
) -> String {
    let (Some(from), Some(to)) = (places.get(fusion), places.get(encoder)) else {
        return String::new();
    };
    let side = if to.0 <= from.0 { -1.0 } else { 1.0 };
    let (x, y) = (from.0 + side * half(from.2), from.1 + half(HIGH));
    let (end_x, end_y) = (to.0 + side * half(to.2) * 0.5, to.1 + HIGH + 1.0);
    format!(
        "<path class=\"edge injected\" marker-end=\"url(#{id}-a)\" \
         d=\"M{x:.1} {y:.1}Q{end_x:.1} {y:.1} {end_x:.1} {end_y:.1}\"><title>injects between its \
         blocks</title></path>\n"
    )
}

fn drawn(one: &Box, (x, top, wide): (f64, f64, f64)) -> String {
    let left = x - half(wide);
    let mut html = format!(
        "<g><rect class=\"box{}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide}\" height=\"{HIGH}\" \
         rx=\"6\"/>",
        one.class
    );
    let count = one.lines.iter().filter(|line| !line.is_empty()).count();
    let first = top + half(HIGH) + 4.0 - 8.0 * (count as f64 - 1.0);
    for (row, line) in one.lines.iter().filter(|line| !line.is_empty()).enumerate() {
        let class = if row == 0 { "name" } else { "label" };
        // What is too long for its box is pressed into it.
        let pressed = match line.chars().count() {
            0..=21 => String::new(),
            _ => format!(" textLength=\"{:.0}\" lengthAdjust=\"spacingAndGlyphs\"", wide - 10.0),
        };
        let _ = write!(
            html,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\"{pressed}>{}</text>",
            first + 16.0 * row as f64,
            escape(line)
        );
    }
    html + "</g>\n"
}
