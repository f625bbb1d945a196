//! The LM head against all logits in f64.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random};
use super::version::Version;
use super::{ROWS, TILE, at};
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::Head;

const EPSILON: f32 = 1e-5;

/// What a split says of a row: largest logit, sum, target's logit, in units of log2.
pub(super) type Partial = [f32; 3];

#[derive(Clone)]
pub(super) struct Case {
    channels: usize,
    vocabulary: usize,
    splits: usize,
    operand: Matrix,
    weight: Matrix,
    targets: Vec<u32>,
}

impl Case {
    /// `size` is the standard deviation of logits.
    pub(super) fn new(
        rows: usize,
        channels: usize,
        vocabulary: usize,
        splits: usize,
        size: f32,
    ) -> Self {
        let random = &mut Random(rows as u64 + 3);
        let scale = size / (channels as f32).sqrt();
        let ends = [0, vocabulary - 1];
        let targets = (0..rows).map(|row| match ends.get(row) {
            Some(&end) => end as u32,
            None => random.below(vocabulary) as u32,
        });
        Case {
            channels,
            vocabulary,
            splits,
            targets: targets.collect(),
            operand: Matrix::random(random, rows, channels, 2.0),
            weight: Matrix::random(random, vocabulary, channels, scale).whole_tiles(TILE),
        }
    }

    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        Case {
            operand: self.operand.pick(rows),
            targets: rows.iter().map(|&row| self.targets[row]).collect(),
            ..self.clone()
        }
    }

    /// `splits` entries a row.
    fn run(&self, policy: Policy) -> Vec<Partial> {
        self.run_as(Version::Sm80, policy)
    }

    pub(super) fn run_as(&self, version: Version, policy: Policy) -> Vec<Partial> {
        let device = Emulated::new(policy);
        let rows = self.targets.len();
        let operand = device.upload(&self.operand.values);
        let weight = device.upload(&self.weight.values);
        let squares = device.upload(&self.operand.squares());
        let targets = device.upload(&self.targets);
        let partial = device.poisoned(rows * self.splits);
        let split_columns = self
            .vocabulary
            .div_ceil(self.splits)
            .next_multiple_of(version.tile_columns());
        let parameters = Head {
            operand: at(&operand),
            weight: at(&weight),
            squares: at(&squares),
            targets: at(&targets),
            partial: at(&partial),
            norm_epsilon: EPSILON,
            channels: self.channels as i32,
            rows: rows as i32,
            inner: self.operand.stride as i32,
            vocabulary: self.vocabulary as i32,
            splits: self.splits as i32,
            split_columns: split_columns as i32,
        };
        let grid = [rows.div_ceil(TILE) as u32, self.splits as u32, 1];
        let operands = [(&operand, &self.operand), (&weight, &self.weight)];
        version.launch(device, "head", grid, &parameters, operands);
        partial.read()
    }

    pub(super) fn check(&self, partial: &[Partial]) {
        for (row, partial) in partial.chunks_exact(self.splits).enumerate() {
            let scale = self.operand.norm_scale(row, self.channels, EPSILON);
            let logits: Vec<Bounded> = (0..self.vocabulary)
                .map(|token| self.operand.product(row, &self.weight, token) * scale)
                .collect();
            let target = logits[self.targets[row] as usize];
            let log2e = Bounded::exact(std::f32::consts::LOG2_E);
            let in_bits: f64 = partial
                .iter()
                .map(|&[_, _, target]| f64::from(target))
                .sum();
            (target * log2e).check(in_bits, || format!("the target's logit of row {row}"));
            Bounded::log_sum_exp(&logits)
                .check(log_sum_exp(partial), || format!("log-sum-exp of row {row}"));
        }
    }
}

/// In nats, of all splits of a row.
fn log_sum_exp(partial: &[Partial]) -> f64 {
    let largest = partial
        .iter()
        .map(|p| f64::from(p[0]))
        .fold(f64::MIN, f64::max);
    let sum: f64 = partial
        .iter()
        .map(|&[max, sum, _]| f64::from(sum) * (f64::from(max) - largest).exp2())
        .sum();
    (largest + sum.log2()) * std::f64::consts::LN_2
}

#[test]
fn oracle_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = Case::new(rows, 40, 331, 2, 1.0);
        for policy in Policy::all() {
            case.check(&case.run(policy));
        }
    }
}

/// 65 leaves most lanes of a slice without any token.
#[test]
fn oracle_for_vocabularies_of_every_remainder() {
    for vocabulary in [2, 63, 64, 65, 97, 128, 129, 513] {
        let case = Case::new(4, 64, vocabulary, 1, 1.0);
        case.check(&case.run(Policy {
            landing: Landing::Late,
            ..Policy::PLAIN
        }));
    }
}

#[test]
fn oracle_for_many_tiles_and_an_empty_split() {
    let case = Case::new(20, 192, 2000, 1, 1.0);
    case.check(&case.run(Policy {
        landing: Landing::Late,
        ..Policy::PLAIN
    }));
    let case = Case { splits: 5, ..case };
    case.check(&case.run(Policy::PLAIN));
    let case = Case::new(3, 64, 100, 2, 1.0);
    case.check(&case.run(Policy::PLAIN));
}

/// exp of such logits overflows fp32 at once, and all tokens but one vanish.
#[test]
fn oracle_for_logits_of_hundreds() {
    let case = Case::new(66, 64, 331, 2, 200.0);
    let partial = case.run(Policy::PLAIN);
    case.check(&partial);
    assert!(
        partial.iter().any(|p| p[0] > 500.0),
        "largest logits above 500"
    );
    assert!(partial.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn equal_logits_give_the_logarithm_of_the_vocabulary() {
    let mut case = Case::new(5, 64, 331, 2, 1.0);
    case.weight.values.fill(0);
    for row in case.run(Policy::PLAIN).chunks(2) {
        assert_eq!(row, [[0.0, 256.0, 0.0], [0.0, 75.0, 0.0]]);
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(130, 192, 500, 2, 3.0);
    let together = case.run(Policy::PLAIN);
    let moved: Vec<usize> = (0..130).map(|row| (row * 37 + 11) % 130).collect();
    for rows in [&moved[..], &[0], &[9], &[64], &[129]] {
        let expected: Vec<Partial> = rows
            .iter()
            .flat_map(|row| together[2 * row..][..2].to_vec())
            .collect();
        assert_eq!(case.pick(rows).run(Policy::PLAIN), expected);
    }
}
