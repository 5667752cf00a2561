//! Retrieval: whether one view of a picture finds the other among those of all pictures.

/// For each picture, given its two vectors, the rank of the second among those of all pictures, the one
/// nearest to the first being 1. Of equals the first in the set comes first.
pub fn ranks(pairs: &[Vec<f32>]) -> Vec<usize> {
    let product = |one: &[f32], other: &[f32]| -> f32 {
        let (first, _) = one.split_at(one.len() / 2);
        let (_, second) = other.split_at(other.len() / 2);
        first.iter().zip(second).map(|(a, b)| a * b).sum()
    };
    let rank = |(at, pair): (usize, &Vec<f32>)| {
        let own = product(pair, pair);
        let nearer = |(other, vectors): &(usize, &Vec<f32>)| {
            let found = product(pair, vectors);
            found > own || (found == own && *other < at)
        };
        1 + pairs.iter().enumerate().filter(nearer).count()
    };
    pairs.iter().enumerate().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_found_if_no_other_picture_is_nearer_and_of_equals_the_first_is() {
        let pair = |first: f32, second: f32| {
            vec![first.cos(), first.sin(), second.cos(), second.sin()]
        };
        assert_eq!(ranks(&[pair(0.0, 0.1), pair(1.0, 1.2), pair(1.15, 2.0)]), [1, 1, 2]);
        assert_eq!(ranks(&[pair(0.5, 0.5), pair(0.5, 0.5), pair(0.5, 0.5)]), [1, 2, 3]);
    }
}
