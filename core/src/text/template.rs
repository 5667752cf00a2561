//! Conversation templates: how turns become one text, and which of its tokens are learnt.
//!
//! The text is LLaVA's, to the character, and so are its tokens: it is cut at the pictures, and
//! what lies between two of them is tokenized as a whole. Which tokens are labelled is known from
//! the bytes they come from. LLaVA counts the tokens of each round again instead, and drops the
//! sample from training with a printed warning where the counts disagree; a token that belongs to
//! a question and to its answer is an error here, which names the sample.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::encoded::{Encoded, Piece};
use super::error::{EncodeError, EncodeErrorKind};
use super::tokenizer::Tokenizer;
use crate::data::Sample;

/// What stands for the picture in a question.
pub const IMAGE: &str = "<image>";

/// How a conversation is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Template {
    /// `<image>answer⏎`: LLaVA's `plain`, for pre-training on captions. One turn, with a picture;
    /// the question is ignored.
    Plain,
    /// `<image>question⏎ answer</s>`: as short as it can be, for models that learn to speak here.
    /// The answer follows a space, so that its words have the tokens of running text.
    Mini,
    /// A system prompt, then `USER: <image>⏎question ASSISTANT: answer</s>`: LLaVA-1.5's and
    /// EAGLE's.
    VicunaV1,
    /// Llama 3's headers with Vicuna's system prompt: EAGLE's. As there, the text begins with
    /// `<|begin_of_text|>` and Llama 3's tokenizer puts another one in front.
    Llama3,
    /// `<|im_start|>` and `<|im_end|>`, with the system prompt "Answer the questions.": LLaVA's
    /// `chatml_direct`, EAGLE's `yi_34b_chatml_direct`.
    ChatMl,
}

/// A template's texts.
struct Form {
    /// Before everything.
    system: &'static str,
    /// Before a question.
    user: &'static str,
    /// Between a picture and the question that it belongs to.
    after_image: &'static str,
    /// Between a question and its answer.
    assistant: &'static str,
    /// Between `assistant` and the answer, and learnt with it: a word and the space before it
    /// are one token.
    space: &'static str,
    /// After an answer, and learnt with it.
    stop: &'static str,
    /// Whether a question is written at all.
    questions: bool,
}

const VICUNA_SYSTEM: &str = "A chat between a curious user and an artificial intelligence \
     assistant. The assistant gives helpful, detailed, and polite answers to the user's questions. ";
const LLAMA3_SYSTEM: &str = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nA \
     chat between a curious user and an artificial intelligence assistant. The assistant gives \
     helpful, detailed, and polite answers to the user's questions.<|eot_id|>";

impl Template {
    fn form(self) -> Form {
        let bare = Form {
            system: "",
            user: "",
            after_image: "",
            assistant: "",
            space: "",
            stop: "\n",
            questions: false,
        };
        match self {
            Self::Plain => bare,
            Self::Mini => {
                Form { assistant: "\n", space: " ", stop: "</s>", questions: true, ..bare }
            }
            Self::VicunaV1 => Form {
                system: VICUNA_SYSTEM,
                user: "USER: ",
                after_image: "\n",
                assistant: " ASSISTANT:",
                space: " ",
                stop: "</s>",
                questions: true,
            },
            Self::Llama3 => Form {
                system: LLAMA3_SYSTEM,
                user: "<|start_header_id|>user<|end_header_id|>\n\n",
                after_image: "\n",
                assistant: "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                stop: "<|eot_id|>",
                questions: true,
                ..bare
            },
            Self::ChatMl => Form {
                system: "<|im_start|>system\nAnswer the questions.<|im_end|>",
                user: "<|im_start|>user\n",
                after_image: "\n",
                assistant: "<|im_end|><|im_start|>assistant\n",
                stop: "<|im_end|>",
                questions: true,
                ..bare
            },
        }
    }

    /// The template that files call `name`: `vicuna_v1`.
    #[must_use]
    pub fn named(name: &str) -> Option<Template> {
        Self::ALL.into_iter().find(|template| template.name() == name)
    }

    /// Every template.
    pub const ALL: [Template; 5] =
        [Self::Plain, Self::Mini, Self::VicunaV1, Self::Llama3, Self::ChatMl];

    /// Its name in files: LLaVA's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Mini => "mini",
            Self::VicunaV1 => "vicuna_v1",
            Self::Llama3 => "llama3",
            Self::ChatMl => "chatml",
        }
    }

    /// The whole conversation, its answers labelled.
    ///
    /// # Errors
    /// The sample can't be written down; see [`EncodeErrorKind`].
    pub fn encode(self, tokenizer: &Tokenizer, sample: &Sample) -> Result<Encoded, EncodeError> {
        let segments = self.segments(sample, sample.turns.len());
        segments
            .and_then(|segments| self.tokens(tokenizer, &segments))
            .map_err(|kind| EncodeError { sample: sample.id.clone(), kind })
    }

    /// Everything before the answer of turn `turn`, counted from 0: what a model continues.
    /// Earlier turns are written with their answers. It is the beginning of what
    /// [`encode`](Self::encode) gives, labels aside.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode); no such turn.
    pub fn prompt(
        self,
        tokenizer: &Tokenizer,
        sample: &Sample,
        turn: usize,
    ) -> Result<Vec<Piece>, EncodeError> {
        let turns = sample.turns.len();
        let segments = if turn < turns {
            self.segments(sample, turn)
        } else {
            Err(EncodeErrorKind::NoSuchTurn { turn, turns })
        };
        let mut encoded = segments
            .and_then(|segments| self.tokens(tokenizer, &segments))
            .map_err(|kind| EncodeError { sample: sample.id.clone(), kind })?;
        for piece in &mut encoded.pieces {
            if let Piece::Token { label, .. } = piece {
                *label = false;
            }
        }
        Ok(encoded.pieces)
    }

    /// The token at which an answer ends; it is labelled, and not part of the answer.
    ///
    /// # Errors
    /// The tokenizer's vocabulary lacks it.
    pub fn stop(self, tokenizer: &Tokenizer) -> Result<u32, EncodeErrorKind> {
        let token = self.form().stop;
        let id = match self {
            // No special token: whatever the vocabulary ends a line with.
            Self::Plain => tokenizer.encode(token)?.last().map(|token| token.id),
            _ => tokenizer.id(token),
        };
        id.ok_or(EncodeErrorKind::NoStop { template: self, token })
    }

    /// The first `answered` turns with their answers, then one more question if there is one.
    fn segments(self, sample: &Sample, answered: usize) -> Result<Vec<Segment>, EncodeErrorKind> {
        let form = self.form();
        let image_at = self.check(sample, &form)?;
        let mut segments = vec![Segment::Text(form.system.to_string(), false)];
        for (i, turn) in sample.turns.iter().enumerate().take(answered + 1) {
            segments.push(Segment::Text(form.user.to_string(), false));
            // LLaVA's `preprocess_multimodal`: the picture goes to the front of its turn.
            let mut question = turn.question.clone();
            if image_at == Some(i) {
                segments.push(Segment::Image);
                question = question.replace(IMAGE, "").trim().to_string();
                if !question.is_empty() {
                    question.insert_str(0, form.after_image);
                }
            }
            if form.questions {
                segments.push(Segment::Text(question, false));
            }
            segments.push(Segment::Text(form.assistant.to_string(), false));
            if i < answered {
                let answer = format!("{}{}{}", form.space, turn.answer, form.stop);
                segments.push(Segment::Text(answer, true));
            }
        }
        Ok(segments)
    }

    /// The turn that shows the picture, if there is one. EAGLE's addition to LLaVA: the first, if
    /// none says `<image>`.
    fn check(self, sample: &Sample, form: &Form) -> Result<Option<usize>, EncodeErrorKind> {
        let turns = &sample.turns;
        if turns.is_empty() {
            return Err(EncodeErrorKind::NoTurns);
        }
        if !form.questions && (turns.len() != 1 || sample.picture.is_none()) {
            let picture = if sample.picture.is_some() { "a picture" } else { "no picture" };
            return Err(EncodeErrorKind::NotACaption { turns: turns.len(), picture });
        }
        for (i, turn) in turns.iter().enumerate() {
            if turn.answer.trim().is_empty() {
                return Err(EncodeErrorKind::EmptyAnswer { turn: i });
            }
            if turn.answer.contains(IMAGE) {
                return Err(EncodeErrorKind::ImageInAnswer { turn: i });
            }
            // A line's end inside a caption is no mark to the tokenizer.
            let said = |text: &str| form.stop != "\n" && text.contains(form.stop);
            if said(&turn.question) || said(&turn.answer) {
                return Err(EncodeErrorKind::Reserved { turn: i, token: form.stop });
            }
        }
        let found: usize = turns.iter().map(|turn| turn.question.matches(IMAGE).count()).sum();
        let said = turns.iter().position(|turn| turn.question.contains(IMAGE));
        match (said, &sample.picture) {
            (Some(turn), None) => Err(EncodeErrorKind::NoPicture { turn }),
            (Some(_), Some(_)) if found > 1 => Err(EncodeErrorKind::ManyImages { found }),
            (said, Some(_)) => Ok(said.or(Some(0))),
            (None, None) => Ok(None),
        }
    }

    fn tokens(
        self,
        tokenizer: &Tokenizer,
        segments: &[Segment],
    ) -> Result<Encoded, EncodeErrorKind> {
        self.stop(tokenizer)?;
        let mut pieces = Vec::new();
        for (i, part) in segments.split(|segment| matches!(segment, Segment::Image)).enumerate() {
            if i > 0 {
                pieces.push(Piece::Image);
            }
            let (text, labelled) = joined(part);
            for token in tokenizer.encode(&text)? {
                let label = is_labelled(&token.bytes, &labelled).ok_or_else(|| {
                    EncodeErrorKind::Boundary {
                        token: text.get(token.bytes.clone()).unwrap_or_default().to_string(),
                    }
                })?;
                pieces.push(Piece::Token { id: token.id, label });
            }
        }
        if let Some(id) = tokenizer.bos() {
            pieces.insert(0, Piece::Token { id, label: false });
        }
        Ok(Encoded { pieces })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

enum Segment {
    /// A text, and whether it is learnt.
    Text(String, bool),
    Image,
}

/// The texts as one, and which of its bytes are learnt.
fn joined(segments: &[Segment]) -> (String, Vec<Range<usize>>) {
    let mut all = String::new();
    let mut labelled = Vec::new();
    for segment in segments {
        if let Segment::Text(text, label) = segment {
            let start = all.len();
            all.push_str(text);
            if *label {
                labelled.push(start..all.len());
            }
        }
    }
    (all, labelled)
}

/// Whether a token lies within what is learnt (true) or outside (false); neither: `None`.
fn is_labelled(token: &Range<usize>, labelled: &[Range<usize>]) -> Option<bool> {
    // An empty token (a space that the tokenizer added) belongs to what follows it.
    let end = token.end.max(token.start + 1);
    let inside = labelled.iter().any(|range| range.start <= token.start && end <= range.end);
    let outside = labelled.iter().all(|range| end <= range.start || range.end <= token.start);
    if inside || outside { Some(inside) } else { None }
}
