//! From a conversation to the rows of a batch.

use std::sync::Arc;

use crate::data::tiles::{Layout, VisualTokens};
use crate::data::{DataError, Sample};
use crate::nn::ops::Row;
use crate::text::{EncodeError, Fitted, Piece, Template, Tokenizer, TooLong};

/// How a conversation becomes a sequence.
#[derive(Clone)]
pub struct TextSpec {
    /// The LLM's tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// The conversation template.
    pub template: Template,
    /// The longest sequence in tokens, visual ones included.
    pub max_length: usize,
    /// What becomes of longer ones.
    pub too_long: TooLong,
    /// Visual tokens of each picture.
    pub visual: VisualTokens,
    /// Whether a fusion reads the questions.
    pub asks: bool,
}

/// One conversation as rows.
pub struct Sequence {
    /// Visual rows count from 0 for the sample's own picture.
    pub rows: Vec<Row>,
    /// (row, label).
    pub targets: Vec<(usize, u32)>,
    /// Whether there are visual rows.
    pub pictured: bool,
    /// How many of them the picture has.
    pub visual: usize,
    /// How the picture is cut into tiles, where that depends on it.
    pub layout: Option<Layout>,
    /// Whether its end was cut off.
    pub truncated: bool,
    /// The tokens of what is asked about the picture; `None` where no fusion reads it.
    pub question: Option<Vec<u32>>,
}

impl TextSpec {
    /// A training sequence; `None` if the sample is too long and to be skipped.
    ///
    /// # Errors
    /// The conversation can't be encoded, or is too long and that is an error.
    pub fn encode(&self, sample: &Sample) -> Result<Option<Sequence>, DataError> {
        let fault = |error: EncodeError| DataError::Sample {
            sample: sample.id.clone(),
            detail: error.kind.to_string(),
        };
        let question = self.question(sample)?;
        let encoded = self.template.encode(&self.tokenizer, sample).map_err(fault)?;
        let layout = self.layout(sample)?;
        let visual = self.visual.of(layout.as_ref());
        let fitted =
            encoded.fit(&sample.id, self.max_length, visual, self.too_long).map_err(fault)?;
        let (encoded, truncated) = match fitted {
            Fitted::Whole(encoded) => (encoded, false),
            Fitted::Truncated(encoded) => (encoded, true),
            Fitted::Skipped => return Ok(None),
        };
        Ok(Some(Sequence { question, truncated, ..self.lay_out(&encoded.pieces, layout) }))
    }

    /// How a sample's picture is cut into tiles, where that depends on it.
    fn layout(&self, sample: &Sample) -> Result<Option<Layout>, DataError> {
        let Some(picture) = &sample.picture else { return Ok(None) };
        self.visual.layout(picture).map_err(|error| error.of_sample(&sample.id))
    }

    /// The rows of a prompt: everything up to where the last turn's answer begins.
    ///
    /// # Errors
    /// The conversation can't be encoded, or leaves no room for `answer` tokens.
    pub fn prompt(&self, sample: &Sample, answer: usize) -> Result<Sequence, DataError> {
        let fault = |detail: String| DataError::Sample { sample: sample.id.clone(), detail };
        let last = sample.turns.len().saturating_sub(1);
        let pieces = self.template.prompt(&self.tokenizer, sample, last);
        let pieces = pieces.map_err(|error| fault(error.kind.to_string()))?;
        let sequence = self.lay_out(&pieces, self.layout(sample)?);
        if sequence.rows.len() + answer > self.max_length {
            return Err(fault(format!(
                "a prompt of {} tokens leaves no room for an answer of {answer} within {}",
                sequence.rows.len(),
                self.max_length
            )));
        }
        Ok(Sequence { question: self.question(sample)?, ..sequence })
    }

    /// The tokens of the first turn's question, for fusions that read it: a picture is seen once,
    /// before the turns that follow.
    fn question(&self, sample: &Sample) -> Result<Option<Vec<u32>>, DataError> {
        if !self.asks {
            return Ok(None);
        }
        let text = sample.turns.first().map_or("", |turn| turn.question.as_str());
        let tokens = self.tokenizer.encode(text).map_err(|error| DataError::Sample {
            sample: sample.id.clone(),
            detail: error.to_string(),
        })?;
        Ok(Some(tokens.into_iter().map(|token| token.id).collect()))
    }

    /// An LLM that reads no visual tokens is not shown the picture.
    fn lay_out(&self, pieces: &[Piece], layout: Option<Layout>) -> Sequence {
        let mut rows = Vec::new();
        let mut targets = Vec::new();
        let mut visual = 0;
        for piece in pieces {
            match piece {
                Piece::Image => {
                    visual = self.visual.of(layout.as_ref());
                    rows.extend((0..visual).map(Row::Visual));
                }
                Piece::Token { id, label } => {
                    // The row before a labelled token predicts it.
                    if *label && !rows.is_empty() {
                        targets.push((rows.len() - 1, *id));
                    }
                    rows.push(Row::Token(*id));
                }
            }
        }
        let pictured = visual > 0;
        let layout = layout.filter(|_| pictured);
        Sequence { rows, targets, pictured, visual, layout, truncated: false, question: None }
    }
}
