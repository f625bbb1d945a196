//! Every kernel against a reference in f64, run by the emulator.
//!
//! Tolerances follow from the formula: see [`bounded`]. Memory that kernels write starts as NaN and
//! ends at a guard page, so what is not written, or written past the end, shows.

mod attention;
mod bert_embed;
mod bounded;
mod codes;
mod documents;
mod embed;
mod gate_up;
mod head;
mod hopper;
mod layer_norm;
mod linear;
mod linear_add;
mod matrix;
mod norm;
mod pool;
mod qkv;
mod residual;
mod version;

use super::device::Address;
use super::emulated::{Emulated, Memory};
use super::parameters::Parameter;

/// Rows and columns of a product's tile, which its grid follows from.
const TILE: usize = 128;

/// Numbers of rows around the edges of warps' parts and of tiles.
const ROWS: [usize; 4] = [1, 63, 65, 130];

/// Runs the kernel of a name in the file of that name, with the launch that it states.
///
/// # Panics
/// With the emulator's report.
fn launch(device: Emulated, name: &str, grid: [u32; 3], parameters: &impl Parameter) {
    let file = format!("{name}.cu");
    // SAFETY: the tests pass the kernel's own struct, and memory as large as its sizes say.
    let result = unsafe { device.launch(&file, name, grid, &[parameters.address()]) };
    result.unwrap_or_else(|report| panic!("{report}"));
}

/// The grid of a product: a block a tile.
fn tiles(rows: usize, columns: usize) -> [u32; 3] {
    let blocks = rows.div_ceil(TILE) * columns.div_ceil(TILE);
    [blocks as u32, 1, 1]
}

fn at<T: Copy>(memory: &Memory<T>) -> Address {
    Address(memory.address())
}
