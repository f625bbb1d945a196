//! The encoder's first stream against sum and LayerNorm in f64.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random};
use super::norm::{Norm, rows};
use super::{ROWS, at, launch};
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::parameters::BertEmbed;

const VOCABULARY: usize = 50;
const POSITIONS: usize = 20;

struct Case {
    norm: Norm,
    table: Matrix,
    places: Vec<f32>,
    /// Token and position of each row.
    tokens: Vec<(u32, u32)>,
}

impl Case {
    fn new(count: usize, channels: usize) -> Self {
        let random = &mut Random(count as u64);
        let token = |_| {
            (
                random.below(VOCABULARY) as u32,
                random.below(POSITIONS) as u32,
            )
        };
        let tokens = (0..count).map(token).collect();
        Case {
            tokens,
            table: Matrix::random(random, VOCABULARY, channels, 0.5),
            places: rows(random, POSITIONS, channels, 0.5),
            norm: Norm::random(random, channels, 1e-12),
        }
    }

    fn run(&self, tokens: &[(u32, u32)], policy: Policy) -> (Vec<f32>, Vec<u16>) {
        let device = Emulated::new(policy);
        let (ids, positions): (Vec<u32>, Vec<u32>) = tokens.iter().copied().unzip();
        let (ids, positions) = (device.upload(&ids), device.upload(&positions));
        let (table, places) = (
            device.upload(&self.table.values),
            device.upload(&self.places),
        );
        let (gain, bias) = (
            device.upload(&self.norm.gain),
            device.upload(&self.norm.bias),
        );
        let count = tokens.len() * self.norm.width();
        let (stream, operand) = (device.poisoned(count), device.poisoned(count));
        let parameters = BertEmbed {
            ids: at(&ids),
            table: at(&table),
            places: at(&places),
            positions: at(&positions),
            gain: at(&gain),
            bias: at(&bias),
            stream: at(&stream),
            operand: at(&operand),
            epsilon: self.norm.epsilon,
            rows: tokens.len() as i32,
            channels: self.norm.channels as i32,
            width: self.norm.width() as i32,
        };
        let grid = [tokens.len().div_ceil(8) as u32, 1, 1];
        launch(device, "bert_embed", grid, &parameters);
        (stream.read(), operand.read())
    }

    /// A row before the norm.
    fn sum(&self, (id, position): (u32, u32)) -> Vec<Bounded> {
        let place = &self.places[position as usize * self.norm.width()..];
        let word = self.table.row(id as usize).take(self.norm.channels);
        let sums = word
            .zip(place)
            .map(|(x, &y)| Bounded::exact(x) + Bounded::exact(y));
        sums.collect()
    }

    fn check(&self, policy: Policy) {
        let rows: Vec<_> = self.tokens.iter().map(|&token| self.sum(token)).collect();
        let (stream, operand) = self.run(&self.tokens, policy);
        self.norm.check(&rows, &stream, &operand);
    }
}

#[test]
fn oracle_for_any_rows_and_width_under_every_policy() {
    for (rows, channels) in ROWS.into_iter().zip([40, 384, 1024, 190]) {
        let case = Case::new(rows, channels);
        Policy::all().for_each(|policy| case.check(policy));
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(77, 384);
    let (stream, _) = case.run(&case.tokens, Policy::PLAIN);
    for row in [0, 7, 8, 76] {
        let (alone, _) = case.run(&case.tokens[row..=row], Policy::PLAIN);
        assert_eq!(alone, stream[row * 384..][..384]);
    }
}
