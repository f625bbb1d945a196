//! The kernels' source text, carried in the binary.

use super::kernels::Kernel;
use super::nvrtc::Text;

macro_rules! texts {
    ($($name:literal),+ $(,)?) => {
        &[$(Text { name: $name, text: include_str!(concat!("../../cuda/", $name)) }),+]
    };
}

/// What sources include.
pub(crate) const HEADERS: &[Text] = texts![
    "ptx.cuh",
    "hopper.cuh",
    "shapes.cuh",
    "epilogue.cuh",
    "linear.cuh",
    "row.cuh",
    "attention.cuh",
    "tile.cuh",
    "tile_sm90.cuh",
    "walk_sm90.cuh",
];

/// Every source file.
const SOURCES: &[Text] = texts![
    "embed.cu",
    "qkv.cu",
    "attention.cu",
    "residual.cu",
    "gate_up.cu",
    "head.cu",
    "documents.cu",
    "qkv_sm90.cu",
    "residual_sm90.cu",
    "gate_up_sm90.cu",
    "head_sm90.cu",
    "bert_embed.cu",
    "attention_full.cu",
    "linear.cu",
    "linear_gelu.cu",
    "linear_add.cu",
    "linear_sm90.cu",
    "linear_gelu_sm90.cu",
    "linear_add_sm90.cu",
    "layer_norm.cu",
    "pool.cu",
    "codes.cu",
];

/// The files that these kernels are in, once each.
pub(crate) fn of(kernels: &[Kernel]) -> Vec<Text> {
    let wanted = |text: &&Text| kernels.iter().any(|kernel| kernel.file == text.name);
    SOURCES.iter().filter(wanted).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::kernels::{Family, every};
    use super::*;

    #[test]
    fn every_kernel_stands_in_its_file_and_every_file_is_used() {
        let mut used = Vec::new();
        for family in [Family::Ampere, Family::Hopper] {
            for kernel in every(family) {
                let sources = of(&[kernel]);
                let [source] = sources.as_slice() else {
                    panic!("{} has no file", kernel.name);
                };
                assert!(
                    source.text.contains(&format!("({}, ", kernel.name)),
                    "{} is not in {}",
                    kernel.name,
                    kernel.file
                );
                used.push(source.name);
            }
        }
        let unused: Vec<_> = SOURCES
            .iter()
            .filter(|it| !used.contains(&it.name))
            .collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn every_include_is_a_header_that_is_carried_or_the_emulator_s() {
        for text in SOURCES.iter().chain(HEADERS) {
            for line in text.text.lines() {
                let Some(rest) = line.strip_prefix("#include \"") else {
                    continue;
                };
                let name = rest.trim_end().trim_end_matches('"');
                let carried = HEADERS.iter().any(|header| header.name == name);
                assert!(carried || name.ends_with(".hpp"), "{}: {line}", text.name);
            }
        }
    }
}
