//! `tiles: …` of a node: how an encoder's pictures are cut.

use super::Problem;
use super::form::{Form, Known};
use super::problem::did_you_mean;
use super::study::pair;
use super::syntax::{Shape, Value};
use super::values::{Place, choice, each, number};
use crate::data::tiles::Tiles;

/// The most tiles in a row or a column, and by `max`.
const MOST: usize = 64;

const THUMBNAIL: Known =
    Known { name: "thumbnail", example: "thumbnail: true", means: "shows the whole picture, too" };
const TILE: Known =
    Known { name: "tile", example: "tile: 448", means: "pixels by which the grid is chosen" };

const FIXED: &[Known] = &[
    Known { name: "rows", example: "rows: 2", means: "tiles from top to bottom" },
    Known { name: "columns", example: "columns: 2", means: "tiles from left to right" },
    THUMBNAIL,
];

const LLAVA_NEXT: &[Known] =
    &[Known { name: "grids", example: "grids: [(1, 2), (2, 1)]", means: "(rows, columns)" }, TILE];

const INTERN_VL: &[Known] = &[
    Known { name: "min", example: "min: 1", means: "the fewest tiles" },
    Known { name: "max", example: "max: 12", means: "the most tiles" },
    THUMBNAIL,
    TILE,
];

const RULES: [&str; 3] = ["Fixed", "LlavaNext", "InternVl"];

/// Reads `Fixed(rows: 2, columns: 2)`, `LlavaNext(grids: [(1, 2), …])`, `InternVl(max: 12)`.
pub(super) fn read(place: &Place<'_>) -> Result<Tiles, Vec<Problem>> {
    let found = match &place.value.shape {
        Shape::Group { name: Some(name), .. } => name.value.as_str(),
        _ => place.raw(),
    };
    match (found, &place.value.shape) {
        ("Fixed", Shape::Group { .. }) => fixed(place),
        ("LlavaNext", Shape::Group { .. }) => llava_next(place),
        ("InternVl", Shape::Group { .. }) => intern_vl(place),
        _ => {
            let wanted = "`Fixed(rows: 2, columns: 2)`, `LlavaNext(grids: [(1, 2), (2, 1)])` or \
                          `InternVl(max: 12)`";
            Err(vec![place.wrong(wanted).help(did_you_mean(found, "rules", &RULES))])
        }
    }
}

fn count(place: &Place<'_>) -> Result<usize, Vec<Problem>> {
    number("a number of tiles from 1 to 64", |n: &usize| (1..=MOST).contains(n))(place)
}

fn flag(place: &Place<'_>) -> Result<bool, Vec<Problem>> {
    choice(&[("true", true), ("false", false)])(place)
}

fn pixels(place: &Place<'_>) -> Result<usize, Vec<Problem>> {
    number("a number of pixels up to 8192; 0: the encoder's image size", |n: &usize| *n <= 8192)(
        place,
    )
}

fn closed(form: Form<'_>, tiles: Tiles) -> Result<Tiles, Vec<Problem>> {
    let (broken, problems) = form.close();
    if broken.is_empty() && problems.is_empty() { Ok(tiles) } else { Err(problems) }
}

fn fixed(place: &Place<'_>) -> Result<Tiles, Vec<Problem>> {
    let mut form = Form::open(place.value, place.source, "`Fixed`", "", FIXED);
    let rows = form.required("rows", count).unwrap_or(1);
    let columns = form.required("columns", count).unwrap_or(1);
    let thumbnail = form.or("thumbnail", flag, false);
    closed(form, Tiles::Fixed { rows, columns, thumbnail })
}

fn llava_next(place: &Place<'_>) -> Result<Tiles, Vec<Problem>> {
    let mut form = Form::open(place.value, place.source, "`LlavaNext`", "", LLAVA_NEXT);
    let grids = form.required("grids", grids).unwrap_or_default();
    let tile = form.or("tile", pixels, 0);
    closed(form, Tiles::LlavaNext { grids, tile })
}

fn grids(place: &Place<'_>) -> Result<Vec<(usize, usize)>, Vec<Problem>> {
    let expected = "a list of grids, (rows, columns)";
    let items = place.list(expected, "[(1, 2), (2, 1)]")?;
    if items.is_empty() {
        return Err(vec![place.wrong(expected).help("give at least one grid")]);
    }
    let grid = |part: &Place<'_>| {
        let Some((rows, columns)) = pair(part.value) else {
            return Err(vec![part.wrong("a grid such as (2, 1): rows and columns")]);
        };
        let side = |value: &Value| count(&Place { value, ..*part });
        Ok((side(rows)?, side(columns)?))
    };
    each(items.iter().map(|item| place.part(item)), grid)
}

fn intern_vl(place: &Place<'_>) -> Result<Tiles, Vec<Problem>> {
    let mut form = Form::open(place.value, place.source, "`InternVl`", "", INTERN_VL);
    let min = form.or("min", count, 1);
    let max = form.or("max", count, 12);
    let thumbnail = form.or("thumbnail", flag, true);
    let tile = form.or("tile", pixels, 0);
    if min > max && form.problems.is_empty() {
        let at = form.get("min").or(form.get("max")).map_or(form.head(), |v| v.span.clone());
        let message = format!("`InternVl` has at least {min} tiles and at most {max}");
        form.problems.push(Problem::new(message, at, "more than `max`").help("raise `max`"));
    }
    closed(form, Tiles::InternVl { min, max, thumbnail, tile })
}
