//! What the mini world promises: fair questions, true answers, the same pictures everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use eagle_core::data::preprocess::{ImageSpec, square};
use eagle_core::data::{Dataset, Picture, Sample};
use eagle_core::registry::DatasetConfig;
use eagle_core::text::{Template, Tokenizer};
use eagle_plugins::datasets::mini_world::{MiniWorld, Split};
use eagle_plugins::world::lexicon::{PRINTED, words};
use eagle_plugins::world::questions::Family;
use eagle_plugins::world::vocabulary::TOKENIZER;

type Outcome = Result<(), Box<dyn Error>>;

fn samples(world: &MiniWorld) -> Result<Vec<Sample>, Box<dyn Error>> {
    let data = world.open(Path::new("."))?;
    (0..data.len()).map(|i| Ok(data.sample(i)?)).collect()
}

/// How often the most frequent answer to each question, learnt from one half, is right on the
/// other: what a model scores that never sees a picture.
fn blind_score<'a>(turns: impl Iterator<Item = (&'a str, &'a str)>) -> f64 {
    let turns: Vec<_> = turns.collect();
    let (learnt, asked) = turns.split_at(turns.len() / 2);
    let mut seen: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (question, answer) in learnt {
        *seen.entry(question).or_default().entry(answer).or_default() += 1;
    }
    let guess = |question| seen.get(question)?.iter().max_by_key(|(_, n)| **n).map(|(a, _)| *a);
    let right = asked.iter().filter(|(question, answer)| guess(question) == Some(answer)).count();
    right as f64 / asked.len() as f64
}

#[test]
fn no_answer_can_be_guessed_from_its_question() -> Outcome {
    let chance = [
        (Family::Colour, 1.0 / 6.0),
        (Family::Shape, 1.0 / 6.0),
        (Family::Count, 0.25),
        (Family::Exist, 0.5),
        (Family::Relation, 0.25),
        (Family::Position, 0.25),
        (Family::Word, 1.0 / 48.0),
    ];
    for (family, chance) in chance {
        let world = MiniWorld { families: vec![family], samples: 12_000, ..MiniWorld::default() };
        let samples = samples(&world)?;
        assert!(samples.iter().all(|sample| sample.turns.len() == 1));
        let turns =
            samples.iter().map(|s| (s.turns[0].question.as_str(), s.turns[0].answer.as_str()));
        let score = blind_score(turns);
        assert!((score - chance).abs() < 0.04, "{family:?}: blind {score:.3}, chance {chance:.3}");
    }
    Ok(())
}

#[test]
fn mixed_turns_stay_balanced() -> Outcome {
    let families = Family::ELEMENTARY.to_vec();
    let world = MiniWorld { families, samples: 16_000, turns: 4, ..MiniWorld::default() };
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for turn in samples(&world)?.into_iter().flat_map(|sample| sample.turns) {
        let kind = match turn.question.split(' ').next() {
            Some("how") => "count",
            Some("is") => "exist",
            Some("where") if turn.question.contains("relative") => "relation",
            Some("where") => "position",
            _ => continue,
        };
        answers.entry(kind.into()).or_default().push(turn.answer);
    }
    assert_eq!(answers.len(), 4);
    for (kind, answers) in answers {
        let kinds: BTreeSet<&String> = answers.iter().collect();
        for one in &kinds {
            let share = answers.iter().filter(|a| a == one).count() as f64 / answers.len() as f64;
            let fair = 1.0 / kinds.len() as f64;
            assert!((share - fair).abs() < 0.05, "{kind}: {one} {share:.3} of {}", answers.len());
        }
    }
    Ok(())
}

#[test]
fn one_picture_is_never_asked_the_same_twice_and_a_caption_comes_last() -> Outcome {
    let families = Family::ELEMENTARY.to_vec();
    let world = MiniWorld { families, samples: 2_000, turns: 8, ..MiniWorld::default() };
    for sample in samples(&world)? {
        let questions: BTreeSet<&str> = sample.turns.iter().map(|t| t.question.as_str()).collect();
        assert_eq!(questions.len(), sample.turns.len(), "{sample:?}");
        let caption = sample.turns.iter().position(|t| t.question.starts_with("describe"));
        assert!(caption.is_none_or(|at| at + 1 == sample.turns.len()), "{sample:?}");
    }
    Ok(())
}

#[test]
fn splits_share_no_picture() -> Outcome {
    let mut seen = BTreeSet::new();
    let mut all = 0;
    for (split, seed) in
        [(Split::Train, 0), (Split::Train, 1), (Split::Validation, 0), (Split::Test, 0)]
    {
        let world = MiniWorld { split, seed, samples: 3_000, ..MiniWorld::default() };
        for sample in samples(&world)? {
            let scene = format!("{:?}", sample.picture);
            seen.insert(*blake3::hash(scene.as_bytes()).as_bytes());
            all += 1;
        }
    }
    assert_eq!(seen.len(), all);
    Ok(())
}

#[test]
fn the_same_seed_draws_the_same_pixels_everywhere() -> Outcome {
    let families = Family::ELEMENTARY.to_vec();
    let world = MiniWorld { families, samples: 8, turns: 3, ..MiniWorld::default() };
    let draw = || -> Result<String, String> {
        let mut hash = blake3::Hasher::new();
        for index in 0..world.samples {
            let sample = world.sample(index).map_err(|error| error.to_string())?;
            for size in [48, 96] {
                let spec = ImageSpec { size, ..ImageSpec::default() };
                let picture = sample.picture.as_ref().ok_or("no picture")?;
                hash.update(&square(picture, &spec).map_err(|error| error.to_string())?);
            }
            hash.update(format!("{:?}", sample.turns).as_bytes());
        }
        Ok(hash.finalize().to_hex()[..16].to_string())
    };
    let here = draw()?;
    let there = std::thread::scope(|scope| scope.spawn(draw).join());
    assert_eq!(there.map_err(|_| "the thread failed")??, here);
    // Another value means that experiments can't be compared with earlier ones: raise GENERATOR.
    assert_eq!(here, "13e03f58df81d45f");
    Ok(())
}

#[test]
fn a_picture_drawn_larger_is_the_same_picture() -> Outcome {
    let world = MiniWorld { clutter: 0.0, samples: 20, ..MiniWorld::default() };
    for sample in samples(&world)? {
        let Some(Picture::Drawn(scene)) = &sample.picture else { return Err("not drawn".into()) };
        let (small, large) = (scene.draw(32, 32), scene.draw(128, 128));
        // Each small pixel against the mean of the 4 x 4 that it stands for.
        let mut difference = 0.0;
        for (x, y, pixel) in small.enumerate_pixels() {
            let block = (0..16).map(|i| large.get_pixel(4 * x + i % 4, 4 * y + i / 4)[0]);
            let mean = block.map(f64::from).sum::<f64>() / 16.0;
            difference += (mean - f64::from(pixel[0])).abs() / 1024.0;
        }
        assert!(difference < 2.0, "{}: {difference}", sample.id);
    }
    Ok(())
}

#[test]
fn words_are_single_tokens_and_what_is_printed_is_spelled() -> Outcome {
    let tokenizer = Tokenizer::from_json(TOKENIZER, "mini")?;
    assert!(tokenizer.vocabulary_size() <= 512);
    for word in words() {
        assert_eq!(tokenizer.encode(word)?.len(), 1, "{word}");
        assert_eq!(tokenizer.encode(&format!("the {word}"))?.len(), 2, "{word}");
        assert!(!PRINTED.contains(&word), "{word} would be read at one glance");
    }
    for word in PRINTED {
        assert_eq!(tokenizer.encode(word)?.len(), word.len() + 1, "{word}");
    }
    Ok(())
}

#[test]
fn any_ascii_text_survives_the_mini_tokenizer() -> Outcome {
    let tokenizer = Tokenizer::from_json(TOKENIZER, "mini")?;
    let ascii: String = (' '..='~').collect();
    let texts = [
        "what colour is the circle?\n red",
        "  two  spaces , and a comma,",
        "a t-shirt costs $3.50 (42% off)",
        "colourless zebras\n\n1234567890",
        ascii.trim_start(),
    ];
    for text in texts {
        let ids: Vec<u32> = tokenizer.encode(text)?.iter().map(|token| token.id).collect();
        let unknown = tokenizer.id("<unk>").ok_or("no <unk>")?;
        assert!(!ids.contains(&unknown), "{text}");
        // A text begins as if after a space: its own first one is not told apart from that.
        let expected = text.to_lowercase();
        let decoded = tokenizer.decode(&ids)?;
        assert_eq!(decoded, expected.strip_prefix(' ').unwrap_or(&expected));
    }
    Ok(())
}

#[test]
fn every_sample_can_be_written_down() -> Outcome {
    let tokenizer = Tokenizer::from_json(TOKENIZER, "mini")?;
    let families = Family::ELEMENTARY.to_vec();
    let world = MiniWorld { families, samples: 500, turns: 4, ..MiniWorld::default() };
    let unknown = tokenizer.id("<unk>").ok_or("no <unk>")?;
    for sample in samples(&world)? {
        let shown = Template::Mini.encode(&tokenizer, &sample)?;
        assert!(shown.labels() >= 2 * sample.turns.len());
        let text = shown.show(&tokenizer);
        assert!(!text.contains("<unk>"), "{text} {unknown}");
    }
    Ok(())
}

#[test]
fn a_field_out_of_its_range_is_refused() {
    let base = MiniWorld::default();
    let wrong = [
        (MiniWorld { families: vec![], ..base.clone() }, "families"),
        (MiniWorld { samples: 0, ..base.clone() }, "samples"),
        (MiniWorld { turns: 0, ..base.clone() }, "turns"),
        (MiniWorld { letters: Some((0.2, 0.1)), ..base.clone() }, "letters"),
        (MiniWorld { things: (0, 1), ..base.clone() }, "things"),
        (MiniWorld { things: (3, 2), ..base.clone() }, "things"),
        (MiniWorld { clutter: f32::NAN, ..base }, "clutter"),
    ];
    for (world, field) in wrong {
        assert_eq!(world.validate().err().and_then(|misfit| misfit.field), Some(field));
    }
    assert!(MiniWorld::default().validate().is_ok());
}
