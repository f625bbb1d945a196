//! The matrix products of one layer, with nothing between them: the floor under a forward pass.

use std::time::Instant;

use rayon::prelude::*;

/// Rows of a tile and outputs of a panel, as the models take them.
const TILE: usize = 48;
const PANEL: usize = 64;

pub struct Products {
    threads: rayon::ThreadPool,
    /// Inputs and outputs of each product.
    shapes: [(usize, usize); 4],
    /// Tiles that go through in one measurement.
    tiles: usize,
    weights: Vec<f32>,
    rows: Vec<f32>,
}

impl Products {
    /// Products of these inputs and outputs, the latter cut to whole panels.
    pub fn new(shapes: [(usize, usize); 4], tiles: usize, threads: usize) -> Self {
        let shapes = shapes.map(|(inputs, outputs)| (inputs, outputs / PANEL * PANEL));
        let largest = shapes
            .iter()
            .map(|(inputs, outputs)| inputs * outputs)
            .max();
        let inputs = shapes.iter().map(|(inputs, _)| *inputs).max();
        let ramp = |length, period| (0..length).map(move |i| (i % period) as f32 / period as f32);
        Products {
            threads: rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("threads start"),
            shapes,
            tiles,
            weights: ramp(largest.unwrap_or(0), 17).collect(),
            rows: ramp(TILE * inputs.unwrap_or(0), 13).collect(),
        }
    }

    /// Floating-point operations a second, a multiplication and an addition being two.
    pub fn operations_per_second(&self) -> f64 {
        let started = Instant::now();
        self.threads.install(|| {
            (0..self.tiles).into_par_iter().for_each(|_| {
                let mut out = vec![0.0; TILE * PANEL];
                for (inputs, outputs) in self.shapes {
                    self.weights[..inputs * outputs]
                        .chunks_exact(inputs * PANEL)
                        .for_each(|panel| product(&self.rows, panel, inputs, &mut out));
                }
                std::hint::black_box(out);
            });
        });
        let products: usize = self
            .shapes
            .iter()
            .map(|(inputs, outputs)| inputs * outputs)
            .sum();
        (2 * self.tiles * TILE * products) as f64 / started.elapsed().as_secs_f64()
    }
}

/// `[TILE, inputs]` times a panel `[inputs, PANEL]`.
fn product(rows: &[f32], panel: &[f32], inputs: usize, out: &mut [f32]) {
    assert!(rows.len() >= TILE * inputs && panel.len() == inputs * PANEL);
    assert!(out.len() == TILE * PANEL);
    // SAFETY: the assertions are the extents of the three matrices, all dense and in rows.
    unsafe {
        gemm::gemm(
            TILE,
            PANEL,
            inputs,
            out.as_mut_ptr(),
            1,
            PANEL as isize,
            false,
            rows.as_ptr(),
            1,
            inputs as isize,
            panel.as_ptr(),
            1,
            PANEL as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
