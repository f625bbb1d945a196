//! A decoder's weights as the kernels read them, in an order in which what belongs together lies in
//! one thread's registers.
//!
//! Gains of norms are folded into the projection behind them in f32, before rounding: so nothing
//! is rounded twice, and a norm costs the kernels one number a row.

use super::packed::{Matrix, Packed, pack};
use super::shape::{Shape, weight_rows};

/// Rows of gate and of up that take turns: the columns of one product of the tensor cores.
const TURN: usize = 8;

/// The token embedding, `[V, Cp]`.
pub(crate) fn embedding(shape: &Shape, table: &[f32]) -> Packed {
    let row = |row| Some(&table[row * shape.config.width..][..shape.config.width]);
    pack(shape.config.vocabulary, shape.width, None, row)
}

/// The LM head behind the last norm, `[Vp, Cp]`.
pub(crate) fn head(shape: &Shape, head: &[f32], gain: &[f32]) -> Packed {
    let matrix = Matrix::new(head, shape.config.width);
    let rows = weight_rows(shape.config.vocabulary);
    pack(rows, shape.width, Some(gain), |row| matrix.row(row))
}

/// Queries over keys over values behind the norm, `[((H + 2G)·D) to whole tiles, Cp]`.
///
/// Rotary embedding turns channels `i` and `i + D/2` of a head: they become rows `2i` and `2i + 1`.
/// Queries and keys change alike, so their products stay.
pub(crate) fn qkv(shape: &Shape, [q, k, v]: [&[f32]; 3], gain: &[f32]) -> Packed {
    let config = &shape.config;
    let [q, k, v] = [q, k, v].map(|values| Matrix::new(values, config.width));
    let (queries, keys) = (config.query_width(), config.kv_width());
    pack(weight_rows(shape.qkv), shape.width, Some(gain), |row| {
        if row < queries {
            q.row(half_split(row, config.head_width))
        } else if row < queries + keys {
            k.row(half_split(row - queries, config.head_width))
        } else {
            v.row(row - queries - keys)
        }
    })
}

/// Attention's output projection, `[Cp to whole tiles, (H·D)p]`.
pub(crate) fn output(shape: &Shape, output: &[f32]) -> Packed {
    let matrix = Matrix::new(output, shape.config.query_width());
    let rows = weight_rows(shape.width);
    pack(rows, shape.attended, None, |row| matrix.row(row))
}

/// Gate and up behind the norm, `[2·Fp to whole tiles, Cp]`: eight rows of one, eight of the other.
pub(crate) fn gate_up(shape: &Shape, gate: &[f32], up: &[f32], gain: &[f32]) -> Packed {
    let [gate, up] = [gate, up].map(|values| Matrix::new(values, shape.config.width));
    let rows = weight_rows(2 * shape.hidden);
    pack(rows, shape.width, Some(gain), |row| {
        let channel = row / (2 * TURN) * TURN + row % TURN;
        match row / TURN % 2 {
            0 => gate.row(channel),
            _ => up.row(channel),
        }
    })
}

/// The feed-forward layer's way back, `[Cp to whole tiles, Fp]`.
pub(crate) fn down(shape: &Shape, down: &[f32]) -> Packed {
    let matrix = Matrix::new(down, shape.config.hidden);
    let rows = weight_rows(shape.width);
    pack(rows, shape.hidden, None, |row| matrix.row(row))
}

/// Where row `row` of interleaved heads stands among half-split ones.
fn half_split(row: usize, head_width: usize) -> usize {
    let (head, within) = (row / head_width, row % head_width);
    head * head_width + within / 2 + within % 2 * (head_width / 2)
}

#[cfg(test)]
mod tests {
    use super::super::kernels::Family;
    use super::super::packed::round;
    use super::*;
    use crate::Config;

    /// Five channels, two heads of sixteen on one key head, three hidden channels, four tokens.
    fn shape() -> Shape {
        let config = Config {
            name: "tiny".into(),
            layers: 1,
            width: 5,
            hidden: 11,
            heads: 2,
            kv_heads: 1,
            head_width: 16,
            vocabulary: 4,
            context: 8,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        };
        Shape::new(&config, Family::Ampere).unwrap()
    }

    /// A matrix whose value at each place tells the place: exact in bf16 up to 256.
    fn numbered(rows: usize, columns: usize, first: usize) -> Vec<f32> {
        (0..rows * columns)
            .map(|i| (first + i / columns) as f32)
            .collect()
    }

    fn value(packed: &Packed, row: usize, column: usize) -> f32 {
        packed.value(row, column)
    }

    #[test]
    fn pairs_that_turn_together_are_neighbours_and_values_stay() {
        let shape = shape();
        let (q, k, v) = (
            numbered(32, 5, 0),
            numbered(16, 5, 100),
            numbered(16, 5, 200),
        );
        let packed = qkv(&shape, [&q, &k, &v], &[1.0; 5]);
        assert_eq!((packed.rows, packed.columns), (128, 64));
        let column: Vec<f32> = (0..64).map(|row| value(&packed, row, 4)).collect();
        assert_eq!(column[..4], [0.0, 8.0, 1.0, 9.0]);
        assert_eq!(column[14..18], [7.0, 15.0, 16.0, 24.0]);
        assert_eq!(column[32..36], [100.0, 108.0, 101.0, 109.0]);
        assert_eq!(column[48..52], [200.0, 201.0, 202.0, 203.0]);
        let mut seen = column.clone();
        seen.sort_by(f32::total_cmp);
        seen.dedup();
        assert_eq!(seen.len(), 64, "every row is there once");
    }

    #[test]
    fn gate_and_up_take_turns_and_fill_up_with_zeros() {
        let (gate, up) = (numbered(11, 5, 1), numbered(11, 5, 101));
        let packed = gate_up(&shape(), &gate, &up, &[1.0, 1.0, 1.0, 1.0, 0.5]);
        assert_eq!((packed.rows, packed.columns), (128, 64));
        let column: Vec<f32> = (0..32).map(|row| value(&packed, row, 0)).collect();
        assert_eq!(column[7..10], [8.0, 101.0, 102.0]);
        assert_eq!(column[15..20], [108.0, 9.0, 10.0, 11.0, 0.0]);
        assert_eq!(column[24..28], [109.0, 110.0, 111.0, 0.0]);
        assert_eq!(value(&packed, 8, 4), 50.5, "the gain of the channel");
        assert_eq!(value(&packed, 8, 5), 0.0, "a padding column");
    }

    #[test]
    fn gains_are_folded_before_rounding() {
        // Each factor alone would round to 1.
        let (weight, gain) = (1.0 + 1.0 / 300.0, 1.0 + 1.0 / 300.0);
        let packed = head(&shape(), &[weight; 20], &[gain; 5]);
        assert_eq!((packed.rows, packed.columns), (128, 64));
        assert_eq!(round(weight), round(1.0));
        assert_eq!(packed.values[0], round(weight * gain));
        assert_ne!(packed.values[0], round(1.0));
        assert_eq!(value(&packed, 4, 0), 0.0, "a padding row");
    }

    #[test]
    fn other_matrices_keep_their_order() {
        let shape = shape();
        let packed = [
            (embedding(&shape, &numbered(4, 5, 1)), (4, 64)),
            (output(&shape, &numbered(5, 32, 1)), (128, 64)),
            (down(&shape, &numbered(5, 11, 1)), (128, 64)),
        ];
        for (packed, size) in packed {
            assert_eq!((packed.rows, packed.columns), size);
            assert_eq!(
                [0, 1, 2, 3].map(|row| value(&packed, row, 4)),
                [1.0, 2.0, 3.0, 4.0]
            );
        }
    }
}
