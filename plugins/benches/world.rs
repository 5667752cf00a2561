//! How fast the mini world makes samples on one core: questions, annotations and pixels.
//!
//! ```sh
//! cargo bench -p eagle-plugins --bench world
//! ```

use std::hint::black_box;
use std::time::Instant;

use eagle_core::data::{Dataset, Picture};
use eagle_plugins::datasets::mini_world::MiniWorld;
use eagle_plugins::world::questions::Family;

/// Samples a second, each drawn at `side` x `side` pixels, or not at all.
fn rate(families: &[Family], side: Option<u32>) -> f64 {
    let world = MiniWorld { families: families.to_vec(), turns: 2, ..MiniWorld::default() };
    let start = Instant::now();
    let mut made = 0;
    while start.elapsed().as_secs_f64() < 0.5 {
        let Ok(sample) = world.sample(made) else { break };
        if let (Some(side), Some(Picture::Drawn(scene))) = (side, &sample.picture) {
            black_box(scene.draw(side, side));
        }
        made += 1;
        black_box(sample);
    }
    made as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    println!("{:12} {:>9} {:>9} {:>9}", "family", "undrawn", "40", "64");
    let alone = Family::NAMED.map(|family| (format!("{family:?}"), vec![family]));
    let elementary = [("elementary".to_string(), Family::ELEMENTARY.to_vec())];
    for (name, families) in elementary.into_iter().chain(alone) {
        let [undrawn, small, large] = [None, Some(40), Some(64)].map(|side| rate(&families, side));
        println!("{name:12} {undrawn:9.0} {small:9.0} {large:9.0}");
    }
}
