//! The grouped order against LLaVA's, given the same permutations. The cases are
//! `tests/fixtures/grouped/make.py`'s.
#![allow(clippy::unwrap_used)]

use eagle_core::train::grouped::Grouping;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    words: Vec<i32>,
    batch: usize,
    world: usize,
    drawn: Vec<Vec<u32>>,
    order: Vec<u32>,
}

#[test]
fn the_order_is_llavas_given_its_permutations() {
    let text = include_str!("../../tests/fixtures/grouped/order.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let mut drawn = case.drawn.into_iter();
        let grouping = Grouping { batch: case.batch, accumulate: case.world };
        let order = grouping.order(&case.words, |len| {
            let permutation = drawn.next().unwrap();
            assert_eq!(permutation.len(), len, "another permutation is asked for");
            permutation
        });
        assert_eq!(order, case.order);
        assert!(drawn.next().is_none(), "fewer permutations are asked for");
    }
}
