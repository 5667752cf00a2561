//! The page of `eagle-lab sample`: one file, nothing beside it, light or dark as the reader's system.

use std::fmt::Write;

use eagle_core::data::annotations::Annotations;
use eagle_core::data::preprocess::decode;
use eagle_core::data::{AnswerKey, DataError, Picture, Sample};
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};

/// Samples of one data set.
pub struct Section {
    /// What they are samples of.
    pub title: String,
    /// How many there are in all.
    pub of: usize,
    /// The samples.
    pub cards: Vec<String>,
}

const STYLE: &str = "
:root { color-scheme: light dark; --ground: #fff; --card: #f6f7f9; --line: #d5d9e0; --text: #1b1f24;
  --faint: #59636e; --answer: #0a6b32; --mark: #d1242f; --letter: #0969da; }
@media (prefers-color-scheme: dark) { :root { --ground: #0e1116; --card: #171b22; --line: #323943;
  --text: #e8ecf1; --faint: #98a2b0; --answer: #57c87f; --mark: #ff7b72; --letter: #79c0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1500px; padding: 1.5rem; background: var(--ground);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .8rem; }
h2 small, .id, .facts, .caption { color: var(--faint); font-weight: normal; font-size: .82rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem; overflow-wrap: anywhere; }
figure { position: relative; margin: 0 0 .6rem; line-height: 0; }
figure img { width: 100%; height: auto; border-radius: 4px; }
figure svg { position: absolute; inset: 0; width: 100%; height: 100%; display: none; }
#marks:checked ~ section svg { display: block; }
polygon { fill: none; stroke: var(--mark); stroke-width: 2; vector-effect: non-scaling-stroke; }
rect { fill: none; stroke: var(--letter); stroke-width: 1; vector-effect: non-scaling-stroke; }
.question { margin: .5rem 0 0; white-space: pre-wrap; }
.answer { margin: 0 0 .3rem; color: var(--answer); font-weight: 600; white-space: pre-wrap; }
.facts, .caption, .id { margin: .3rem 0 0; }
";

/// The whole page.
pub fn page(title: &str, sections: &[Section]) -> String {
    let title = escape(title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<input type=\"checkbox\" id=\"marks\"> <label for=\"marks\">Draw \
         what experts are told: objects and letters</label>\n"
    );
    for Section { title, of, cards } in sections {
        let title = escape(title);
        let _ = write!(
            html,
            "<section>\n<h2>{title} <small>{} of {of}</small></h2>\n<main>\n",
            cards.len()
        );
        cards.iter().for_each(|card| html.push_str(card));
        html.push_str("</main>\n</section>\n");
    }
    html + "</body>\n</html>\n"
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
             src=\"data:image/png;base64,{data}\">"
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
        let _ = writeln!(html, "<p class=\"facts\">{}</p>", escape(&facts));
    }
    if let Some(annotations) = sample.annotations.as_ref().filter(|told| !told.caption.is_empty()) {
        let _ = writeln!(html, "<p class=\"caption\">{}</p>", escape(&annotations.caption));
    }
    let _ = writeln!(html, "<p class=\"id\">{}</p>\n</article>", escape(&sample.id));
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4 {
            let place = (bits >> (18 - 6 * letter)) & 63;
            let written = letter <= chunk.len();
            text.push(if written { char::from(LETTERS[place as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let cases = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(cases.map(|case| base64(case.as_bytes())), expected);
    }

    #[test]
    fn what_a_sample_says_is_no_markup() {
        let turn = eagle_core::data::Turn { question: "<b>?".into(), answer: "a & \"b\"".into() };
        let sample = Sample { id: "1".into(), turns: vec![turn], ..Sample::default() };
        let html = card(&sample, 32).unwrap_or_default();
        assert!(html.contains("&lt;b&gt;?") && html.contains("a &amp; &quot;b&quot;"), "{html}");
    }
}
