//! A graph as a listing.

use std::fmt;

use super::shapes::total;
use super::{Graph, Node, Port, Source, Tiling};
use crate::spec::Weights;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "experiment {} (seed {})", self.name, self.seed)?;
        let mut rows =
            vec![["node", "plugin", "reads", "gives", "parameters", "weights"].map(str::to_owned)];
        let nodes: Vec<&Node> = self.order.iter().map(|&index| &self.dag[index]).collect();
        rows.extend(nodes.iter().map(|node| self.row(node)));
        let sum: usize = nodes.iter().fold(0, |sum, node| sum.saturating_add(node.parameters()));
        let cost = total(nodes.iter().map(|node| node.cost));
        table(f, &rows)?;
        writeln!(
            f,
            "in all {} parameters, {} FLOPs a forward pass over the whole context",
            grouped(sum),
            grouped(cost.flops as usize)
        )?;
        for stage in &self.stages {
            let targets: Vec<&str> =
                stage.spec.train.iter().map(|target| target.value.as_str()).collect();
            let (name, data) = (&stage.spec.name.value, &stage.data.name);
            writeln!(f, "stage {name}: trains {} on {data}", targets.join(", "))?;
        }
        if !self.benchmarks.is_empty() {
            let names: Vec<&str> = self.benchmarks.iter().map(|b| b.name.as_str()).collect();
            let template = self.template.name();
            writeln!(f, "evaluated by {}, asked as {template}", names.join(", "))?;
        }
        if !self.held_out.is_empty() {
            let names: Vec<&str> = self.held_out.iter().map(|data| data.name.as_str()).collect();
            writeln!(f, "measured on {}", names.join(", "))?;
        }
        Ok(())
    }
}

impl Node {
    /// The number of its parameters' values.
    pub fn parameters(&self) -> usize {
        self.params.iter().fold(0, |sum, param| sum.saturating_add(param.len()))
    }
}

impl Graph {
    /// What a node reads, by name.
    pub fn reads(&self, node: &Node) -> Vec<&str> {
        let name = |source: &Source| match source {
            Source::Image => "image",
            Source::Text => "text",
            Source::Node(node) => self.dag[*node].id.as_str(),
        };
        node.inputs.iter().map(name).collect()
    }

    /// What a node gives, in words.
    pub fn gives(&self, tiling: Tiling, output: &Port) -> String {
        let (fewest, most) = self.tiles().map_or((1, 1), |tiles| tiles.range());
        match tiling {
            Tiling::Whole => output.to_string(),
            Tiling::Tile => format!("{output} a tile, {fewest} to {most} tiles"),
            Tiling::Packed => format!("up to {output}"),
        }
    }

    fn row(&self, node: &Node) -> [String; 6] {
        let weights = match &node.weights {
            Weights::Random => "random".to_owned(),
            Weights::File { path, .. } => path.display().to_string(),
            Weights::From { experiment, .. } => experiment.display().to_string(),
        };
        [
            node.id.clone(),
            node.name.clone(),
            self.reads(node).join(", "),
            self.gives(node.tiling, &node.output),
            grouped(node.parameters()),
            if node.params.is_empty() { String::new() } else { weights },
        ]
    }
}

/// A number with a space before every three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn table(f: &mut fmt::Formatter<'_>, rows: &[[String; 6]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let pad = widths[column] - cell.chars().count();
            let (before, after) = if column == 4 { (pad, 0) } else { (0, pad) };
            line.push_str(&format!(" {}{cell}{} ", " ".repeat(before), " ".repeat(after)));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
