//! A conversation with a trained model about at most one picture: the prompt, the forward pass and
//! the choice of tokens are an evaluation's, so that the same question has the same answer.

use crate::data::{DataError, Picture, Sample, Turn};
use crate::features::Frozen;
use crate::generate::{Chooser, Prompts, generate_heard};
use crate::model::{Model, SeeError};
use crate::spec::Generation;
use crate::tensor::{Tensor, TensorError};
use crate::text::Tokenizer;
use crate::train::loader::{Batch, Drawn};
use crate::train::sequence::{Sequence, TextSpec};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// It can't be put: too long with all that was said before, or not what the template takes.
    #[error("this can't be asked: {0}")]
    Question(String),
    /// The picture can't be read.
    #[error(transparent)]
    Picture(DataError),
    /// An operation failed: out of memory, or a plugin broke its promise.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An operation failed while the picture was seen.
    #[error(transparent)]
    See(#[from] SeeError),
    /// The tokenizer and the template don't fit each other.
    #[error("{0}")]
    Text(String),
}

/// A conversation.
pub struct Chat<'a> {
    model: &'a Model,
    text: &'a TextSpec,
    generation: Generation,
    frozen: Frozen,
    sample: Sample,
    /// The picture's visual tokens, once they were needed: the first question stands for all turns.
    seen: Option<Tensor>,
}

/// What stands for the answer that is asked for: a conversation has no empty one.
const OPEN: &str = "?";

impl<'a> Chat<'a> {
    /// A conversation about no picture, in which nothing was said yet.
    pub fn new(model: &'a Model, text: &'a TextSpec, generation: Generation) -> Chat<'a> {
        let sample = Sample { id: "chat".into(), ..Sample::default() };
        Chat { model, text, generation, frozen: Frozen::none(model), sample, seen: None }
    }

    /// Begins again, about this picture.
    ///
    /// # Errors
    /// It can't be read.
    pub fn show(&mut self, picture: Option<Picture>) -> Result<(), ChatError> {
        // Seeing it comes with the first question; that it can't be is to be known now.
        if let (Some(picture), Some(spec)) = (&picture, self.model.images.first()) {
            crate::data::preprocess::prepare(picture, spec).map_err(ChatError::Picture)?;
        }
        self.sample.picture = picture;
        self.reset();
        Ok(())
    }

    /// Forgets what was said; the picture stays.
    pub fn reset(&mut self) {
        self.sample.turns.clear();
        self.seen = None;
    }

    /// Questions that were asked and answered.
    pub fn turns(&self) -> &[Turn] {
        &self.sample.turns
    }

    /// Asks, after all that was said before; at most `most` tokens are answered, or as many as there
    /// is room for. `purpose` names the answer's chance; `hear` hears it as it comes.
    ///
    /// # Errors
    /// See [`ChatError`]; the question is forgotten then. So is one that has an empty answer.
    pub fn ask(
        &mut self,
        question: &str,
        most: usize,
        purpose: &str,
        hear: &mut dyn FnMut(&str),
    ) -> Result<String, ChatError> {
        self.sample.turns.push(Turn { question: question.into(), answer: OPEN.into() });
        let answer = self.answer(most, purpose, hear);
        match (&answer, self.sample.turns.last_mut()) {
            (Ok(said), Some(turn)) if !said.is_empty() => turn.answer.clone_from(said),
            _ => drop(self.sample.turns.pop()),
        }
        answer
    }

    fn answer(
        &mut self,
        most: usize,
        purpose: &str,
        hear: &mut dyn FnMut(&str),
    ) -> Result<String, ChatError> {
        let prompt = self.text.prompt(&self.sample, 1).map_err(|error| match error {
            DataError::Sample { detail, .. } => ChatError::Question(detail),
            other => ChatError::Question(other.to_string()),
        })?;
        let most = most.min(self.text.max_length - prompt.rows.len());
        let visual = self.look(&prompt)?;
        let tokenizer = self.text.tokenizer.as_ref();
        let stop = self.text.template.stop(tokenizer);
        let stop = stop.map_err(|error| ChatError::Text(error.to_string()))?;
        let mut chooser = [Chooser::of(self.generation, purpose)];
        let prompts = Prompts { visual, rows: prompt.rows, batch: 1 };
        let mut told = String::new();
        let said =
            generate_heard(self.model.llm()?, prompts, &mut chooser, stop, most, &mut |said| {
                tell(tokenizer, said.first().map_or(&[], Vec::as_slice), &mut told, hear);
            })?;
        let ids = said.into_iter().next().unwrap_or_default();
        let text = tokenizer.decode(&ids).map_err(|error| ChatError::Text(error.to_string()))?;
        let text = text.trim().to_owned();
        if let Some(rest) = text.strip_prefix(&told).filter(|rest| !rest.is_empty()) {
            hear(rest);
        }
        Ok(text)
    }

    /// The visual tokens of the picture; `None` if the prompt has none.
    fn look(&mut self, prompt: &Sequence) -> Result<Option<Tensor>, ChatError> {
        if !prompt.pictured {
            return Ok(None);
        }
        if self.seen.is_none() {
            let drawn = Drawn { sample: self.sample.clone(), index: 0, flipped: false, chance: 0 };
            let questions = prompt.question.clone().into_iter().collect();
            let mut batch = Batch { questions, ..Batch::default() };
            let added = batch.add_pictures(&[&drawn], &self.model.images, &self.frozen);
            added.map_err(ChatError::Picture)?;
            self.seen = self.frozen.see(self.model, &mut batch)?;
        }
        Ok(self.seen.clone())
    }
}

/// Passes on what is new of an answer: not the half of a letter that a token may end in, and not the
/// space at its ends.
fn tell(tokenizer: &Tokenizer, ids: &[u32], told: &mut String, hear: &mut dyn FnMut(&str)) {
    let Ok(text) = tokenizer.decode(ids) else { return };
    let text = text.trim_end_matches('\u{fffd}').trim();
    if let Some(new) = text.strip_prefix(told.as_str()).filter(|new| !new.is_empty()) {
        hear(new);
        *told = text.to_owned();
    }
}
