//! The pictures of benchmarks' questions, small, as part of a page.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{Dataset, Picture, preprocess};
use eagle_core::graph::Benchmark;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};

/// The longest side of a picture, in pixels.
const SIDE: u32 = 160;

/// The questions of some benchmarks, by the benchmarks' names.
#[derive(Default)]
pub struct Pictures {
    questions: BTreeMap<String, Questions>,
    /// Bytes of the pictures that were given.
    pub bytes: usize,
}

struct Questions {
    dataset: Arc<dyn Dataset>,
    /// The position of each sample, by its id.
    places: BTreeMap<String, usize>,
}

impl Pictures {
    /// Opens benchmarks whose relative paths start at `base`, where they are not open yet. Of one
    /// that can't be opened (its data is elsewhere by now) there are no pictures.
    pub fn open(&mut self, benchmarks: &[Benchmark], base: &Path) {
        for benchmark in benchmarks {
            if self.questions.contains_key(&benchmark.name) {
                continue;
            }
            let Ok(dataset) = benchmark.plugin.open(base) else { continue };
            let named = |at: usize| Some((dataset.sample(at).ok()?.id, at));
            let places = (0..dataset.len()).filter_map(named).collect();
            self.questions.insert(benchmark.name.clone(), Questions { dataset, places });
        }
    }

    /// The picture of a sample as a data URI; none where there is none.
    pub fn uri(&mut self, benchmark: &str, sample: &str) -> Option<String> {
        let questions = self.questions.get(benchmark)?;
        let at = *questions.places.get(sample)?;
        let picture = questions.dataset.sample(at).ok()?.picture?;
        let jpeg = jpeg(&picture)?;
        self.bytes += jpeg.len();
        Some(format!("data:image/jpeg;base64,{}", base64(&jpeg)))
    }
}

/// A picture in few bytes.
fn jpeg(picture: &Picture) -> Option<Vec<u8>> {
    let image = match picture {
        Picture::Drawn(scene) => scene.draw(SIDE, SIDE),
        other => {
            let image = preprocess::decode(other).ok()?;
            let (width, height) = image.dimensions();
            let share = f64::from(SIDE) / f64::from(width.max(height).max(1));
            let size = |side: u32| ((f64::from(side) * share).round() as u32).max(1);
            imageops::resize(&image, size(width), size(height), FilterType::Triangle)
        }
    };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 82).encode_image(&image).ok()?;
    Some(bytes)
}

/// RFC 4648.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let coded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(texts.map(|text| base64(text.as_bytes())), coded);
    }
}
