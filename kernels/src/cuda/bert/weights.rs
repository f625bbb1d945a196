//! An encoder's weights as the kernels read them: queries over keys over values in one matrix, and
//! the embedding of token type 0, the only one there is, in that of the positions.

use super::shape::Shape;
use crate::ModelError;
use crate::bert::weights::{self, LayerPart};
use crate::cpu::elementwise::add;
use crate::cuda::packed::{Matrix, Packed, pack};
use crate::cuda::shape::weight_rows;
use crate::source::safetensors::Safetensors;

/// A projection: a matrix and a bias, both filled up with zeros.
pub(super) struct Linear {
    /// `[Np, inner]`.
    pub(super) weight: Packed,
    /// `[Np]`.
    pub(super) bias: Vec<f32>,
}

/// A LayerNorm, filled up with zeros, which keeps the padding columns zero.
pub(super) struct Norm {
    /// `[Cp]`.
    pub(super) gain: Vec<f32>,
    /// `[Cp]`.
    pub(super) bias: Vec<f32>,
}

/// The token embedding, `[V, Cp]`.
pub(super) fn table(shape: &Shape, tensors: &Safetensors) -> Result<Packed, ModelError> {
    let words = tensors.read(weights::WORDS)?;
    let words = Matrix::new(&words, shape.config.width);
    let row = |row| words.row(row);
    Ok(pack(shape.config.vocabulary, shape.width, None, row))
}

/// The embedding of each position with that of token type 0, `[positions, Cp]`.
pub(super) fn places(shape: &Shape, tensors: &Safetensors) -> Result<Vec<f32>, ModelError> {
    let positions = tensors.read(weights::POSITIONS)?;
    let token_types = tensors.read(weights::TOKEN_TYPES)?;
    let mut places = vec![0.0; shape.config.positions * shape.width];
    let width = shape.config.width;
    let rows = places.chunks_exact_mut(shape.width);
    for (place, position) in rows.zip(positions.chunks_exact(width)) {
        place[..width].copy_from_slice(position);
        add(&mut place[..width], &token_types[..width]);
    }
    Ok(places)
}

/// The parts of a layer, one under the other, each reading `inputs` channels padded to `inner`.
pub(super) fn linear(
    tensors: &Safetensors,
    layer: usize,
    parts: &[LayerPart],
    (inputs, inner): (usize, usize),
) -> Result<Linear, ModelError> {
    let read = |kind: &str| {
        let names = parts.iter().map(|part| part.name(layer));
        let tensors = names.map(|name| tensors.read(&format!("{name}.{kind}")));
        Ok::<_, ModelError>(tensors.collect::<Result<Vec<_>, _>>()?.concat())
    };
    let (values, mut bias) = (read("weight")?, read("bias")?);
    let matrix = Matrix::new(&values, inputs);
    let rows = weight_rows(bias.len());
    bias.resize(rows, 0.0);
    Ok(Linear {
        weight: pack(rows, inner, None, |row| matrix.row(row)),
        bias,
    })
}

/// The LayerNorm of this name.
pub(super) fn norm(shape: &Shape, tensors: &Safetensors, name: &str) -> Result<Norm, ModelError> {
    let padded = |kind| {
        let mut values = tensors.read(&format!("{name}.{kind}"))?;
        values.resize(shape.width, 0.0);
        Ok::<_, ModelError>(values)
    };
    Ok(Norm {
        gain: padded("weight")?,
        bias: padded("bias")?,
    })
}
