//! Codes on a device against the same on the CPU: equal to the bit.

use super::matrix::Random;
use super::{at, launch};
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::parameters::Codes;
use crate::lsh::{Lsh, LshConfig, Tables};

fn draw(rows: usize, concatenated: usize, bucket_width: f64, dimensions: usize) -> Lsh {
    let config = LshConfig {
        rows,
        concatenated,
        bucket_width,
        cells: 50_000,
        seed: rows as u64,
    };
    Lsh::new(config, dimensions).expect("it is inside its limits")
}

/// Codes of embeddings that lie end to end, by a policy.
fn codes(lsh: &Lsh, embeddings: &[f32], dimensions: usize, policy: Policy) -> Vec<u16> {
    let LshConfig {
        rows,
        concatenated,
        cells,
        ..
    } = *lsh.config();
    let shape = [
        embeddings.len() / dimensions,
        dimensions,
        rows,
        concatenated,
        cells,
    ];
    run(&lsh.tables(), embeddings, shape, policy)
}

/// The same of any tables; the shape is documents, channels, rows, hashes a row, and cells.
fn run(tables: &Tables, embeddings: &[f32], shape: [usize; 5], policy: Policy) -> Vec<u16> {
    let device = Emulated::new(policy);
    let [documents, channels, rows, concatenated, cells] = shape;
    let embeddings = device.upload(embeddings);
    let (directions, offsets) = (
        device.upload(tables.directions),
        device.upload(tables.offsets),
    );
    let (factors, addends) = (
        device.upload(&tables.factors),
        device.upload(&tables.addends),
    );
    let codes = device.poisoned(documents * rows);
    let parameters = Codes {
        embeddings: at(&embeddings),
        directions: at(&directions),
        offsets: at(&offsets),
        factors: at(&factors),
        addends: at(&addends),
        codes: at(&codes),
        documents: documents as i32,
        channels: channels as i32,
        rows: rows as i32,
        concatenated: concatenated as i32,
        cells: cells as i32,
    };
    let blocks = [documents.div_ceil(32), rows.div_ceil(128 / concatenated)];
    launch(
        device,
        "codes",
        [blocks[0] as u32, blocks[1] as u32, 1],
        &parameters,
    );
    codes.read()
}

/// Embeddings of about length 1.
fn embeddings(documents: usize, dimensions: usize) -> Vec<f32> {
    let random = &mut Random(documents as u64);
    let scale = 1.0 / (dimensions as f32).sqrt();
    (0..documents * dimensions)
        .map(|_| random.unit() * scale)
        .collect()
}

#[test]
fn differential_codes_of_many_embeddings() {
    let lsh = draw(128, 4, 0.5, 384);
    let embeddings = embeddings(700, 384);
    assert!(codes(&lsh, &embeddings, 384, Policy::PLAIN) == lsh.codes(&embeddings));
}

#[test]
fn differential_codes_of_every_shape() {
    for (rows, dimensions) in [(1, 384), (7, 37), (31, 1), (128, 127), (33, 129), (9, 2)] {
        for concatenated in 1..=16 {
            let lsh = draw(rows, concatenated, 0.3, dimensions);
            let embeddings = embeddings(35, dimensions);
            let got = codes(&lsh, &embeddings, dimensions, Policy::PLAIN);
            assert!(
                got == lsh.codes(&embeddings),
                "{rows} rows of {concatenated}, {dimensions} dimensions"
            );
        }
    }
}

#[test]
fn differential_codes_under_every_policy() {
    let lsh = draw(40, 5, 0.3, 200);
    for documents in [1, 31, 32, 33, 64] {
        let embeddings = embeddings(documents, 200);
        for policy in Policy::all() {
            assert!(
                codes(&lsh, &embeddings, 200, policy) == lsh.codes(&embeddings),
                "{policy:?}"
            );
        }
    }
}

/// Numbers of every size, so that integers overflow, and such as are none.
#[test]
fn differential_codes_of_broken_and_of_far_embeddings() {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-45,
        -1e-45,
        1e-38,
        -1e-38,
        1e4,
        -1e4,
        3e9,
        -3e9,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    let pairs = special
        .iter()
        .flat_map(|&a| special.iter().flat_map(move |&b| [a, b]));
    let embeddings: Vec<f32> = pairs.collect();
    for bucket_width in [1e-6, 1.0, 1e6] {
        let lsh = draw(50, 3, bucket_width, 2);
        let got = codes(&lsh, &embeddings, 2, Policy::PLAIN);
        assert!(got == lsh.codes(&embeddings), "buckets {bucket_width} wide");
    }
}

/// One hash w = 1, b = 0 of one channel, and a fold whose cell is the integer's upper half.
#[test]
fn integers_round_down_saturate_and_keep_subnormal_numbers() {
    let mut directions = [0.0; 16];
    directions[0] = 1.0;
    let tables = Tables {
        directions: &directions,
        offsets: &[0.0; 16],
        factors: vec![1 << 32],
        addends: vec![0],
    };
    let cases: [(f32, i32); 12] = [
        (0.0, 0),
        (-0.0, 0),
        (1e-45, 0),
        (-1e-45, -1),
        (-65536.0, -65536),
        (-65536.01, -65537),
        (65535.996, 65535),
        (2147483520.0, 2147483520),
        (2147483648.0, i32::MAX),
        (f32::INFINITY, i32::MAX),
        (-1e20, i32::MIN),
        (f32::NAN, 0),
    ];
    let got = run(
        &tables,
        &cases.map(|(x, _)| x),
        [12, 1, 1, 1, 65536],
        Policy::PLAIN,
    );
    let expected = cases.map(|(_, integer)| (integer as u32 >> 16) as u16);
    assert_eq!(got, expected);
}
