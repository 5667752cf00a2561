//! What experts are told of the mini world's pictures is what the pixels show.

use std::error::Error;

use eagle_core::data::annotations::{Annotations, Object};
use eagle_core::data::{Dataset, Picture, Sample};
use eagle_plugins::datasets::mini_world::MiniWorld;
use eagle_plugins::world::classes::Class;
use eagle_plugins::world::lexicon::{Colour, PRINTED, Shape};
use eagle_plugins::world::questions::Family;
use image::RgbImage;

type Outcome = Result<(), Box<dyn Error>>;

const SIDE: u32 = 200;

fn world(family: Family) -> MiniWorld {
    MiniWorld { families: vec![family], samples: 60, clutter: 0.0, ..MiniWorld::default() }
}

fn told(sample: &Sample) -> Result<(&Annotations, RgbImage), String> {
    let annotations = sample.annotations.as_ref().ok_or("nothing is told")?;
    let Some(Picture::Drawn(scene)) = &sample.picture else { return Err("not drawn".into()) };
    Ok((annotations, scene.draw(SIDE, SIDE)))
}

fn middle(x: u32, y: u32) -> [f32; 2] {
    [(x as f32 + 0.5) / SIDE as f32, (y as f32 + 0.5) / SIDE as f32]
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b))).sum()
}

/// The pixels of an outline, against those that are not of the ground around it.
fn overlap(object: &Object, picture: &RgbImage, ground: [u8; 3]) -> f64 {
    let [left, top, right, bottom] = object.place();
    let (mut both, mut either) = (0.0, 0.0);
    for (x, y, pixel) in picture.enumerate_pixels() {
        let [u, v] = middle(x, y);
        if u < left - 0.01 || u > right + 0.01 || v < top - 0.01 || v > bottom + 0.01 {
            continue;
        }
        let (told, shown) = (object.covers([u, v]), distance(pixel.0, ground) > 60);
        both += f64::from(u8::from(told && shown));
        either += f64::from(u8::from(told || shown));
    }
    both / either
}

#[test]
fn an_outline_is_where_the_pixels_of_its_thing_are() -> Outcome {
    let world = world(Family::Colour);
    let mut classes = [0; Shape::ALL.len()];
    for index in 0..world.samples {
        let sample = world.sample(index)?;
        let (annotations, picture) = told(&sample)?;
        let corner = picture.get_pixel(0, 0).0;
        for object in &annotations.objects {
            let share = overlap(object, &picture, corner);
            let name = Class::ALL[object.class].name();
            // A ring's hole is not told.
            let least = if name == "ring" { 0.65 } else { 0.9 };
            assert!(share > least, "{}, {name}: {share}", sample.id);
            classes[object.class] += 1;
        }
    }
    assert!(classes.iter().all(|n| *n > 5), "{classes:?}");
    Ok(())
}

#[test]
fn the_plate_is_the_last_object_and_its_ink_lies_in_the_boxes_of_its_letters() -> Outcome {
    let world = world(Family::Word);
    for index in 0..world.samples {
        let sample = world.sample(index)?;
        let (annotations, picture) = told(&sample)?;
        let plate = annotations.objects.last().ok_or("no plate")?;
        assert_eq!(Class::ALL[plate.class], Class::Sign);
        let word: String = annotations.glyphs.iter().map(|glyph| glyph.character).collect();
        assert!(PRINTED.contains(&word.as_str()) && sample.turns[0].answer == word);
        assert_eq!(annotations.caption.split(' ').next_back(), Some(word.as_str()));

        let [left, top, right, bottom] = plate.place();
        let paper = picture
            .get_pixel(((left + 0.015) * SIDE as f32) as u32, ((top + 0.015) * SIDE as f32) as u32);
        let mut ink = vec![0; word.len()];
        for (x, y, pixel) in picture.enumerate_pixels() {
            let [u, v] = middle(x, y);
            let margin = 1.5 / SIDE as f32;
            let on_plate = left + margin < u && u < right - margin;
            if !on_plate || v < top + margin || v > bottom - margin {
                continue;
            }
            if distance(pixel.0, paper.0) > 200 {
                let holds = |[l, t, r, b]: [f32; 4]| {
                    l - margin < u && u < r + margin && t - margin < v && v < b + margin
                };
                let at = annotations.glyphs.iter().position(|glyph| holds(glyph.place));
                ink[at.ok_or(format!("{}: ink at {u} {v}", sample.id))?] += 1;
            }
        }
        assert!(ink.iter().all(|n| *n > 20), "{}: {ink:?}", sample.id);
    }
    Ok(())
}

#[test]
fn a_caption_names_every_thing() -> Outcome {
    let world = MiniWorld { samples: 200, ..MiniWorld::default() };
    for index in 0..world.samples {
        let sample = world.sample(index)?;
        let (annotations, _) = told(&sample)?;
        assert_eq!(annotations.caption.matches(',').count() + 1, annotations.objects.len());
        for object in &annotations.objects {
            assert!(annotations.caption.contains(Class::ALL[object.class].name()));
        }
        let colours = annotations.caption.split(", ").filter_map(|name| name.split(' ').next());
        assert!(colours.into_iter().all(|c| Colour::ALL.iter().any(|known| known.name() == c)));
    }
    Ok(())
}

#[test]
fn a_class_is_numbered_by_its_place() {
    assert!(Class::ALL.iter().enumerate().all(|(i, class)| *class as usize == i));
    assert!(Shape::ALL.iter().all(|shape| Class::from(*shape).name() == shape.name()));
}
