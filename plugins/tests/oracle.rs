//! Every answer of the named families, found again from what the annotations say of the picture.

use std::error::Error;

use eagle_core::data::annotations::Annotations;
use eagle_core::data::{Dataset, Sample, Turn};
use eagle_plugins::datasets::mini_world::{MiniWorld, Split};
use eagle_plugins::world::classes::Class;
use eagle_plugins::world::lexicon::Shape;
use eagle_plugins::world::questions::Family;

/// A thing: its size, texture, colour and shape, and where it lies.
struct Thing<'a> {
    words: [&'a str; 4],
    x: f32,
    y: f32,
}

/// The named things from left to right; none where the outlines don't tell which is which.
fn things(told: &Annotations) -> Option<Vec<Thing<'_>>> {
    let mut places: Vec<(usize, f32, f32)> = told
        .objects
        .iter()
        .filter(|object| object.class < Shape::ALL.len())
        .map(|object| {
            let [left, top, right, bottom] = object.place();
            (object.class, (left + right) / 2.0, (top + bottom) / 2.0)
        })
        .collect();
    places.sort_by(|a, b| a.1.total_cmp(&b.1));
    let names = told.caption.split(", ").zip(&places).map(|(name, &(class, x, y))| {
        let words: [&str; 4] = name.split(' ').collect::<Vec<_>>().try_into().ok()?;
        (Class::ALL[class].name() == words[3]).then_some(Thing { words, x, y })
    });
    let things = names.collect::<Option<Vec<_>>>()?;
    (things.len() == places.len()).then_some(things)
}

/// The things that a phrase means: "circle", "circles", "red shapes", "striped red circle".
fn meant<'a>(things: &'a [Thing<'a>], phrase: &str) -> Vec<&'a Thing<'a>> {
    let words: Vec<&str> = phrase.split(' ').filter(|word| !word.starts_with("shape")).collect();
    let has = |thing: &Thing<'_>, word: &str| {
        let plural = |shape: &Shape| shape.plural() == word && thing.words[3] == shape.name();
        thing.words.contains(&word) || Shape::ALL.iter().any(plural)
    };
    things.iter().filter(|thing| words.iter().all(|word| has(thing, word))).collect()
}

fn only<'a>(things: &'a [Thing<'a>], phrase: &str) -> Option<&'a Thing<'a>> {
    let [thing] = meant(things, phrase)[..] else { return None };
    Some(thing)
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(before)?;
    rest.find(after).map(|end| &rest[..end])
}

fn decide(yes: bool) -> String {
    if yes { "yes".into() } else { "no".into() }
}

fn about_things(question: &str, told: &Annotations) -> Option<String> {
    let things = &things(told)?;
    let is = |before: &str| between(question, before, "?");
    for (place, asks) in ["size", "texture", "colour"].into_iter().enumerate() {
        if let Some(phrase) = is(&format!("what {asks} is the ")) {
            return only(things, phrase).map(|thing| thing.words[place].into());
        }
        let same = between(question, &format!("is the {asks} of the "), " the same?");
        if let Some((one, other)) = same.and_then(|pair| pair.split_once(" and the ")) {
            let (one, other) = (only(things, one)?, only(things, other)?);
            return Some(decide(one.words[place] == other.words[place]));
        }
    }
    if let Some(phrase) = is("which shape is ") {
        return only(things, phrase).map(|thing| thing.words[3].into());
    }
    if let Some(phrase) = between(question, "how many ", " are there?") {
        return Some(meant(things, phrase).len().to_string());
    }
    if let Some(phrase) = between(question, "is there a ", " in the picture?") {
        return Some(decide(!meant(things, phrase).is_empty()));
    }
    if let Some((one, other)) = is("is the ").and_then(|pair| pair.split_once(" larger than the "))
    {
        return Some(decide(
            only(things, one)?.words[0] == "large" && only(things, other)?.words[0] == "small",
        ));
    }
    if let Some(phrase) = is("where is the ") {
        return Some(match phrase.split_once(" relative to the ") {
            Some((one, other)) => side(only(things, one)?, only(things, other)?),
            None => quarter(only(things, phrase)?),
        });
    }
    claimed_of_things(question, things)
}

fn side(one: &Thing<'_>, other: &Thing<'_>) -> String {
    let (dx, dy) = (one.x - other.x, one.y - other.y);
    let answer = match (dx.abs() > dy.abs(), dx > 0.0, dy > 0.0) {
        (true, false, _) => "left",
        (true, true, _) => "right",
        (false, _, false) => "above",
        (false, _, true) => "below",
    };
    answer.into()
}

fn quarter(thing: &Thing<'_>) -> String {
    let vertical = if thing.y > 0.5 { "bottom" } else { "top" };
    format!("{vertical} {}", if thing.x > 0.5 { "right" } else { "left" })
}

fn claimed_of_things(question: &str, things: &[Thing<'_>]) -> Option<String> {
    if let Some(claim) = between(question, "is the number of ", "?") {
        let (phrase, number) = claim.rsplit_once(' ')?;
        return Some(decide(meant(things, phrase).len().to_string() == number));
    }
    let claim = between(question, "is the ", "?")?;
    if let Some((phrase, place)) = claim.split_once(" at the ") {
        return Some(decide(quarter(only(things, phrase)?) == place));
    }
    let (phrase, word) = claim.rsplit_once(' ')?;
    Some(decide(only(things, phrase)?.words.contains(&word)))
}

fn about_signs(question: &str, told: &Annotations) -> Option<String> {
    let says = |colour: &str| {
        let mut signs =
            told.caption.split(", ").filter_map(|part| part.split_once(" sign with the "));
        let (_, says) = signs.find(|(plate, _)| plate.ends_with(&format!(" {colour}")))?;
        says.split_once(' ').map(|(_, text)| text.to_string())
    };
    if question == "what is written in the picture?" {
        let (_, rest) = told.caption.split_once(" sign with the ")?;
        let (_, text) = rest.split_once(' ')?;
        return Some(text.split(", ").next()?.into());
    }
    if let Some(claim) = between(question, "does the ", "?") {
        let (colour, text) = claim.split_once(" sign say ")?;
        return Some(decide(says(colour)? == text));
    }
    let asked = question.strip_suffix(" sign?")?;
    says(asked.rsplit_once(' ')?.1)
}

fn about_charts(question: &str, told: &Annotations) -> Option<String> {
    let (_, entries) = told.caption.split_once(" chart with ")?;
    let entries: Vec<[&str; 3]> = entries
        .split(", ")
        .map(|entry| entry.split(' ').collect::<Vec<_>>().try_into().ok())
        .collect::<Option<_>>()?;
    let value = |entry: &[&str; 3]| entry[2].parse::<usize>().unwrap_or(0);
    let named = |name: &str| {
        let bare = name.trim_start_matches("the ");
        let bare = bare.split(' ').next().unwrap_or_default();
        entries.iter().find(|entry| entry[..2].contains(&bare)).map(value)
    };
    if let Some(name) = between(question, "what is the value of ", "?") {
        return Some(named(name)?.to_string());
    }
    if let Some(claim) = between(question, "is the value of ", "?") {
        let (name, said) = claim.rsplit_once(' ')?;
        return Some(decide(named(name)?.to_string() == said));
    }
    if let Some((one, other)) =
        between(question, "is ", "?").and_then(|pair| pair.split_once(" higher than "))
    {
        return Some(decide(named(one)? > named(other)?));
    }
    let extreme = if question.contains("highest") {
        entries.iter().max_by_key(|entry| value(entry))?
    } else {
        entries.iter().min_by_key(|entry| value(entry))?
    };
    if let Some(claim) = between(question, "is the ", "?") {
        return Some(decide(extreme[..2].contains(&claim.rsplit_once(' ')?.1)));
    }
    Some(if question.starts_with("what colour") { extreme[0] } else { extreme[1] }.into())
}

fn about_forms(question: &str, told: &Annotations) -> Option<String> {
    let lines = told.caption.strip_prefix("a form with ")?.split(", ");
    let mut lines = lines.filter_map(|line| line.split_once(": "));
    if let Some(key) = between(question, "what is the ", "?") {
        return lines.find(|(name, _)| *name == key).map(|(_, value)| value.into());
    }
    let (key, said) = between(question, "is the ", "?")?.split_once(' ')?;
    lines.find(|(name, _)| *name == key).map(|(_, value)| decide(value == said))
}

fn about_diagrams(question: &str, told: &Annotations) -> Option<String> {
    let steps = told.caption.strip_prefix("a diagram from ")?.split(", ");
    let steps: Vec<(&str, &str)> = steps.filter_map(|step| step.split_once(" to ")).collect();
    if let Some(name) = between(question, "what comes after ", "?") {
        return steps.iter().find(|(from, _)| *from == name).map(|(_, to)| (*to).into());
    }
    if let Some(name) = between(question, "what comes before ", "?") {
        return steps.iter().find(|(_, to)| *to == name).map(|(from, _)| (*from).into());
    }
    let (first, last) = (steps.first()?.0, steps.last()?.1);
    Some(if question.contains("begin") { first } else { last }.into())
}

fn answer(sample: &Sample, turn: &Turn) -> Option<String> {
    let told = sample.annotations.as_ref()?;
    let mut lines = turn.question.lines();
    let question = lines.next()?;
    let about = if told.caption.contains(" sign with the ") {
        about_signs
    } else if told.caption.contains(" chart with ") {
        about_charts
    } else if told.caption.starts_with("a form with ") {
        about_forms
    } else if told.caption.starts_with("a diagram from ") {
        about_diagrams
    } else {
        about_things
    };
    let answer = about(question, told)?;
    let choices: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(". ")).collect();
    if choices.is_empty() {
        return Some(answer);
    }
    let right: Vec<_> = choices.iter().filter(|(_, text)| *text == answer).collect();
    let [(letter, _)] = right[..] else { return None };
    Some((*letter).into())
}

#[test]
fn every_answer_is_found_again_from_what_experts_are_told() -> Result<(), Box<dyn Error>> {
    for family in Family::NAMED {
        for split in [Split::Train, Split::Test] {
            let world = MiniWorld {
                split,
                families: vec![family],
                samples: 700,
                turns: 3,
                ..MiniWorld::default()
            };
            let (mut all, mut unclear) = (0, 0);
            for index in 0..world.samples {
                let sample = world.sample(index)?;
                for turn in &sample.turns {
                    all += 1;
                    match answer(&sample, turn) {
                        Some(found) => assert_eq!(found, turn.answer, "{sample:?}"),
                        None => unclear += 1,
                    }
                }
            }
            assert!(all >= world.samples && unclear * 50 < all, "{family:?}: {unclear} of {all}");
        }
    }
    Ok(())
}

/// What is printed, read off the letters' boxes.
#[test]
fn letters_stand_where_the_caption_is_printed() -> Result<(), Box<dyn Error>> {
    for family in [Family::TextVqa, Family::OcrBench, Family::DocVqa, Family::ChartQa, Family::Sqa]
    {
        let world = MiniWorld { families: vec![family], samples: 200, ..MiniWorld::default() };
        for index in 0..world.samples {
            let sample = world.sample(index)?;
            let told = sample.annotations.as_ref().ok_or("nothing is told")?;
            let read: String = told.glyphs.iter().map(|glyph| glyph.character).collect();
            for turn in &sample.turns {
                let printed = match family {
                    Family::Sqa | Family::ChartQa => continue,
                    _ => turn.answer.replace(' ', ""),
                };
                assert!(read.contains(&printed), "{printed} in {read}");
            }
            for glyph in &told.glyphs {
                let [left, top, right, bottom] = glyph.place;
                let inside = 0.0 <= left && left < right && right <= 1.0;
                assert!(inside && 0.0 <= top && top < bottom && bottom <= 1.0, "{told:?}");
            }
            for object in &told.objects {
                let [left, top, right, bottom] = object.place();
                assert!(left > -0.03 && top > -0.03 && right < 1.03 && bottom < 1.03, "{told:?}");
            }
        }
    }
    Ok(())
}

/// Bars and slices are as large as their values.
#[test]
fn charts_show_their_values() -> Result<(), Box<dyn Error>> {
    let world = MiniWorld { families: vec![Family::ChartQa], samples: 300, ..MiniWorld::default() };
    for index in 0..world.samples {
        let sample = world.sample(index)?;
        let told = sample.annotations.as_ref().ok_or("nothing is told")?;
        let values =
            told.caption.split(", ").filter_map(|entry| entry.rsplit_once(' ')?.1.parse().ok());
        let values: Vec<f32> = values.collect();
        assert_eq!(values.len(), told.objects.len());
        let measure = |at: usize| {
            let object = &told.objects[at];
            let [_, top, _, bottom] = object.place();
            match Class::ALL[object.class] {
                Class::Bar => bottom - top,
                Class::Slice => area(&object.outline),
                _ => 0.82 - (top + bottom) / 2.0,
            }
        };
        for at in 1..values.len() {
            let (shown, told_ratio) = (measure(at) / measure(0), values[at] / values[0]);
            assert!((shown / told_ratio - 1.0).abs() < 0.02, "{}: {shown}", told.caption);
        }
    }
    Ok(())
}

fn area(outline: &[[f32; 2]]) -> f32 {
    let next = outline.iter().cycle().skip(1);
    let cross: f32 = outline.iter().zip(next).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum();
    cross.abs() / 2.0
}
