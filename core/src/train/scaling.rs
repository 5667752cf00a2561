//! Loss scaling for f16 (Micikevicius et al., arXiv 1710.03740), with PyTorch's `GradScaler` rules: the
//! loss counts so many times that small gradients don't vanish in 5 bits of exponent. A step whose
//! gradient overflows is left out and halves the scale; 2000 good ones in a row double it.

/// What a loss counts, and what became of that so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossScale {
    scale: f32,
    good: u32,
}

const FIRST: f32 = 65_536.0;
const PATIENCE: u32 = 2_000;
/// Below this nothing is left to halve: the gradients are not finite whatever the loss counts.
const LEAST: f32 = 1.0 / 1_024.0;

impl Default for LossScale {
    fn default() -> Self {
        LossScale { scale: FIRST, good: 0 }
    }
}

impl LossScale {
    /// How many times the loss counts.
    pub fn factor(self) -> f32 {
        self.scale
    }

    /// Hears whether a step's gradient was finite. Says whether the step may be left out: not when
    /// halving is of no use any more.
    pub fn heard(&mut self, finite: bool) -> bool {
        if !finite {
            *self = LossScale { scale: 0.5 * self.scale, good: 0 };
            return self.scale >= LEAST;
        }
        self.good += 1;
        if self.good == PATIENCE {
            *self = LossScale { scale: 2.0 * self.scale, good: 0 };
        }
        true
    }

    /// As a checkpoint keeps it.
    pub fn state(self) -> Vec<f32> {
        vec![self.scale, self.good as f32]
    }

    /// From a checkpoint.
    pub fn of(state: &[f32]) -> Option<LossScale> {
        match state {
            [scale, good] => Some(LossScale { scale: *scale, good: *good as u32 }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_halves_and_two_thousand_good_steps_double() {
        let mut scale = LossScale::default();
        assert!(scale.heard(false));
        assert_eq!(scale.factor(), 32_768.0);
        for _ in 0..1_999 {
            assert!(scale.heard(true));
        }
        assert_eq!(scale.factor(), 32_768.0);
        assert_eq!(LossScale::of(&scale.state()), Some(scale));
        assert!(scale.heard(true));
        assert_eq!(scale.factor(), 65_536.0);
    }

    #[test]
    fn gradients_that_are_never_finite_end_the_stage() {
        let mut scale = LossScale::default();
        let left_out = (0..1_000).take_while(|_| scale.heard(false)).count();
        assert_eq!(left_out, 26, "65536 is halved down to 1/1024");
    }
}
