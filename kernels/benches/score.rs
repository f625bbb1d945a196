//! How fast the CPU model scores, beside the matrix products alone.
//!
//! ```text
//! make models && cargo bench -p riffle-kernels --bench score
//! cargo bench -p riffle-kernels --bench score -- --threads 1 --rounds 9
//! cargo bench -p riffle-kernels --bench score -- --ids documents.json   # a list of lists of ids
//! ```
//!
//! Each round measures, in turn, the products of a forward pass alone and scoring at every length,
//! so that other work on the machine falls on both; the median of the rounds is printed as
//! `figure<TAB>name<TAB>value<TAB>unit`. On a machine that is busy otherwise, the rate per second of
//! processor time still says what a quiet core does. It should not win on batches shorter than one tile of 48
//! tokens, which are filled up to a tile, and a batch below 96 tokens runs on one thread.

use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;
use riffle_kernels::{Batch, Config, LoadOptions, Loaded, load};

/// Tokens of a batch, about what the engine packs.
const BATCH_TOKENS: usize = 4096;
const LENGTHS: [usize; 4] = [32, 128, 512, 2048];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let number = |name: &str, default| {
        value(name).map_or(default, |value| {
            value.parse().expect("a whole number follows")
        })
    };
    let threads = number("--threads", rayon::current_num_threads());
    let rounds = number("--rounds", 5);

    let started = Instant::now();
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    let mut loaded = load(&model_path(), &options).expect("the model loads: try `make models`");
    figure("load", started.elapsed().as_secs_f64(), "s");
    figure("threads", threads as f64, "threads");
    println!("# {:?}", loaded.model.describe());

    let batches = match value("--ids") {
        Some(path) => vec![("given".to_string(), read_batch(&path))],
        None => LENGTHS
            .map(|length| (length.to_string(), batch_of(&loaded, length)))
            .into(),
    };
    measure(&mut loaded, &batches, threads, rounds);
    figure("peak memory", peak_memory_bytes() / 1e6, "MB");
}

/// Runs all rounds and prints the medians.
fn measure(loaded: &mut Loaded, batches: &[(String, Batch)], threads: usize, rounds: usize) {
    let products = Products::new(&loaded.config, threads);
    let mut floor = Vec::new();
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); batches.len()];
    let mut processor_rates = rates.clone();
    for _ in 0..rounds {
        floor.push(products.operations_per_second());
        let each = batches
            .iter()
            .zip(rates.iter_mut().zip(&mut processor_rates));
        for ((_, batch), (rates, processor_rates)) in each {
            let (started, processor_started) = (Instant::now(), processor_seconds());
            let scores = loaded
                .model
                .score(batch)
                .expect("the batch is inside the model's limits");
            rates.push(batch.tokens() as f64 / started.elapsed().as_secs_f64());
            let processor = processor_seconds() - processor_started;
            processor_rates.push(batch.tokens() as f64 / processor);
            std::hint::black_box(scores);
        }
    }
    let floor = median(floor);
    figure("products alone", floor / 1e9, "GFLOP/s");
    let each = batches.iter().zip(rates.into_iter().zip(processor_rates));
    for ((name, batch), (rates, processor_rates)) in each {
        let operations: f64 = batch
            .documents()
            .flat_map(|document| 0..document.len())
            .map(|position| loaded.config.operations_per_token(position))
            .sum();
        let rate = median(rates);
        let speed = rate * operations / batch.tokens() as f64;
        figure(
            &format!("score, {name} tokens a document"),
            rate,
            "tokens/s",
        );
        figure(
            &format!("score, {name} tokens a document, speed"),
            speed / 1e9,
            "GFLOP/s",
        );
        figure(
            &format!("score, {name} tokens a document, share"),
            speed / floor,
            "of products",
        );
        let per_core = median(processor_rates);
        figure(
            &format!("score, {name} tokens a document, a core"),
            per_core,
            "tokens/processor second",
        );
        let scores = loaded.model.score(batch).expect("as before");
        let nll_nats: f64 = scores.iter().map(|score| score.nll_nats).sum();
        figure(
            &format!("score, {name} tokens a document, mean"),
            nll_nats / batch.tokens() as f64,
            "nats",
        );
    }
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\t{name}\t{value:.4}\t{unit}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn model_path() -> PathBuf {
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf"
    );
    std::env::var_os("RIFFLE_TEST_MODEL").map_or(default.into(), PathBuf::from)
}

/// Documents of one length cut from the reference texts, [`BATCH_TOKENS`] in all.
fn batch_of(loaded: &Loaded, length: usize) -> Batch {
    let lines = include_str!("../reference/texts.jsonl").lines();
    let ids: Vec<u32> = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one object a line"))
        .filter_map(|item| item["text"].as_str().map(str::to_string))
        .flat_map(|text| {
            loaded
                .tokenizer
                .encode(&text, usize::MAX / 16)
                .expect("any text")
                .ids
        })
        .collect();
    let ids: Vec<u32> = ids.into_iter().cycle().take(BATCH_TOKENS).collect();
    ids.chunks(length).collect()
}

fn read_batch(path: &str) -> Batch {
    let json = std::fs::read(path).expect("the file of token ids is there");
    let documents: Vec<Vec<u32>> = serde_json::from_slice(&json).expect("a list of lists of ids");
    documents.iter().map(Vec::as_slice).collect()
}

/// Processor time of this process so far, all threads together; not a number where the system does
/// not say.
fn processor_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses come the state and ten more fields, then user and system time
    // in hundredths of a second.
    let fields = status
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11);
    let ticks: Vec<f64> = fields
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    match ticks.as_slice() {
        [user, system] => (user + system) / 100.0,
        _ => f64::NAN,
    }
}

/// Largest memory of this process so far; 0 where the system does not say.
fn peak_memory_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

/// The matrix products of one layer, with nothing between them: the floor under scoring.
struct Products {
    threads: rayon::ThreadPool,
    /// Inputs and outputs of each product.
    shapes: [(usize, usize); 4],
    weights: Vec<f32>,
    rows: Vec<f32>,
}

/// Rows of a tile and outputs of a panel, as the model takes them.
const TILE: usize = 48;
const PANEL: usize = 64;
const TILES: usize = 40;

impl Products {
    fn new(config: &Config, threads: usize) -> Self {
        let qkv = config.query_width() + 2 * config.kv_width();
        let shapes = [
            (config.width, qkv),
            (config.query_width(), config.width),
            (config.width, 2 * config.hidden),
            (config.hidden, config.width),
        ]
        .map(|(inputs, outputs)| (inputs, outputs / PANEL * PANEL));
        let largest = shapes
            .iter()
            .map(|(inputs, outputs)| inputs * outputs)
            .max()
            .unwrap_or(0);
        let inputs = shapes.iter().map(|(inputs, _)| *inputs).max().unwrap_or(0);
        Products {
            threads: rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("threads start"),
            shapes,
            weights: (0..largest).map(|i| (i % 17) as f32 / 17.0).collect(),
            rows: (0..TILE * inputs).map(|i| (i % 13) as f32 / 13.0).collect(),
        }
    }

    fn operations_per_second(&self) -> f64 {
        let started = Instant::now();
        self.threads.install(|| {
            (0..TILES).into_par_iter().for_each(|_| {
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
        (2 * TILES * TILE * products) as f64 / started.elapsed().as_secs_f64()
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
