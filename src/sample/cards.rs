//! The page of `eagle-lab sample`.

use std::fmt::Write;

use eagle_core::data::annotations::Annotations;
use eagle_core::data::preprocess::decode;
use eagle_core::data::{AnswerKey, DataError, Picture, Sample};
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};

use crate::page::pictures::base64;
use crate::page::{document, escape};

/// Samples of one data set.
pub struct Section {
    /// What they are samples of.
    pub title: String,
    /// How many there are in all.
    pub of: usize,
    /// The samples.
    pub cards: Vec<String>,
}

/// Beside the style of all pages. Marks lie over a picture, so they have one colour for all grounds.
const STYLE: &str = "
body { max-width: 94rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1rem; }
article { background: var(--soft); border: 1px solid var(--line); border-radius: .5rem;
  padding: .8rem; overflow-wrap: anywhere; }
article p { margin: .3rem 0 0; }
article .question { margin-top: .5rem; white-space: pre-wrap; }
article .answer { color: var(--good); font-weight: 600; white-space: pre-wrap; }
figure { position: relative; line-height: 0; }
figure img { width: 100%; height: auto; border-radius: .25rem; }
figure svg { position: absolute; inset: 0; height: 100%; display: none; }
#marks:checked ~ section svg { display: block; }
polygon { fill: none; stroke: #e0242f; stroke-width: 2; vector-effect: non-scaling-stroke; }
rect { fill: none; stroke: #2f81f7; stroke-width: 1; vector-effect: non-scaling-stroke; }
";

/// The whole page.
pub fn page(title: &str, sections: &[Section]) -> String {
    let mut html = format!(
        "<style>{STYLE}</style>\n<h1>{}</h1>\n<input type=\"checkbox\" id=\"marks\"/> <label \
         for=\"marks\">Draw what experts are told: objects and letters</label>\n",
        escape(title)
    );
    for Section { title, of, cards } in sections {
        let (title, shown) = (escape(title), cards.len());
        let _ = write!(
            html,
            "<section>\n<h2>{title} <small class=\"quiet\">{shown} of {of}</small></h2>\n<div class=\"cards\">\n"
        );
        cards.iter().for_each(|card| html.push_str(card));
        html.push_str("</div>\n</section>\n");
    }
    document(title, &html)
}

/// A sample as a part of the page; its picture has at most `side` pixels along its larger side.
///
/// # Errors
/// A picture that can't be read.
pub fn card(sample: &Sample, side: u32) -> Result<String, DataError> {
    let mut html = String::from("<article>\n");
    if let Some(picture) = &sample.picture {
        let image = shown(picture, side).map_err(|error| error.of_sample(&sample.id))?;
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).map_err(|error| DataError::Sample {
            sample: sample.id.clone(),
            detail: format!("can't be written as PNG: {error}"),
        })?;
        let (width, height) = image.dimensions();
        let data = base64(png.get_ref());
        let _ = write!(
            html,
            "<figure><img width=\"{width}\" height=\"{height}\" alt=\"\" \
             src=\"data:image/png;base64,{data}\"/>"
        );
        sample.annotations.iter().for_each(|annotations| mark(&mut html, annotations));
        html.push_str("</figure>\n");
    }
    for turn in &sample.turns {
        let (question, answer) = (escape(&turn.question), escape(&turn.answer));
        let _ =
            writeln!(html, "<p class=\"question\">{question}</p><p class=\"answer\">{answer}</p>");
    }
    if let Some(facts) = sample.key.as_ref().map(|key| facts(key)).filter(|facts| !facts.is_empty())
    {
        let _ = writeln!(html, "<p class=\"quiet small\">{}</p>", escape(&facts));
    }
    if let Some(annotations) = sample.annotations.as_ref().filter(|told| !told.caption.is_empty()) {
        let _ = writeln!(html, "<p class=\"quiet small\">{}</p>", escape(&annotations.caption));
    }
    let _ = writeln!(html, "<p class=\"quiet small\">{}</p>\n</article>", escape(&sample.id));
    Ok(html)
}

fn shown(picture: &Picture, side: u32) -> Result<RgbImage, DataError> {
    if let Picture::Drawn(scene) = picture {
        return Ok(scene.draw(side, side));
    }
    let image = decode(picture)?;
    let (width, height) = image.dimensions();
    let larger = width.max(height);
    if larger <= side {
        return Ok(image);
    }
    let scaled =
        |length: u32| (u64::from(length) * u64::from(side) / u64::from(larger)).max(1) as u32;
    Ok(resize(&image, scaled(width), scaled(height), FilterType::Triangle))
}

fn mark(html: &mut String, annotations: &Annotations) {
    html.push_str("<svg viewBox=\"0 0 1 1\" preserveAspectRatio=\"none\">");
    for object in &annotations.objects {
        let corners: Vec<String> =
            object.outline.iter().map(|[x, y]| format!("{x:.4},{y:.4}")).collect();
        let (class, corners) = (object.class, corners.join(" "));
        let _ =
            write!(html, "<polygon points=\"{corners}\"><title>class {class}</title></polygon>");
    }
    for glyph in &annotations.glyphs {
        let [left, top, right, bottom] = glyph.place;
        let (width, height) = (right - left, bottom - top);
        let character = escape(&glyph.character.to_string());
        let _ = write!(
            html,
            "<rect x=\"{left:.4}\" y=\"{top:.4}\" width=\"{width:.4}\" height=\"{height:.4}\"><title>\
             {character}</title></rect>"
        );
    }
    html.push_str("</svg>");
}

/// What a scorer knows beside the answer.
fn facts(key: &AnswerKey) -> String {
    let mut facts = Vec::new();
    facts.extend(key.category.iter().map(|category| format!("category {category}")));
    facts.extend(key.group.iter().map(|group| format!("group {group}")));
    if !key.answers.is_empty() {
        facts.push(format!("accepted: {}", key.answers.join(", ")));
    }
    facts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sample_says_is_no_markup() {
        let turn = eagle_core::data::Turn { question: "<b>?".into(), answer: "a & \"b\"".into() };
        let sample = Sample { id: "1".into(), turns: vec![turn], ..Sample::default() };
        let html = card(&sample, 32).unwrap_or_default();
        assert!(html.contains("&lt;b&gt;?") && html.contains("a &amp; &quot;b&quot;"), "{html}");
    }
}
