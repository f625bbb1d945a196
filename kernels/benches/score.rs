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

mod products;

use std::path::PathBuf;
use std::time::Instant;

use products::Products;
use riffle_kernels::{Batch, Config, LanguageModel, LoadOptions, Loaded, load};

/// Tokens of a batch.
const BATCH_TOKENS: usize = 2048;
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
    measure(&mut loaded, batches, threads, rounds);
    figure("peak memory", peak_memory_bytes() / 1e6, "MB");
}

/// One batch and what its rounds took.
struct Case {
    name: String,
    batch: Batch,
    tokens_per_second: Vec<f64>,
    tokens_per_processor_second: Vec<f64>,
    mean_nats: f64,
}

impl Case {
    fn new(name: String, batch: Batch) -> Self {
        let (tokens_per_second, tokens_per_processor_second) = (Vec::new(), Vec::new());
        Case {
            name,
            batch,
            tokens_per_second,
            tokens_per_processor_second,
            mean_nats: f64::NAN,
        }
    }

    fn run(&mut self, model: &mut dyn LanguageModel) {
        let tokens = self.batch.tokens() as f64;
        let (started, processor_started) = (Instant::now(), processor_seconds());
        let scores = model
            .score(&self.batch)
            .expect("the batch is inside the model's limits");
        self.tokens_per_second
            .push(tokens / started.elapsed().as_secs_f64());
        let processor = processor_seconds() - processor_started;
        self.tokens_per_processor_second.push(tokens / processor);
        self.mean_nats = scores.iter().map(|score| score.nll_nats).sum::<f64>() / tokens;
    }

    fn print(self, config: &Config, floor: f64) {
        let positions = self
            .batch
            .documents()
            .flat_map(|document| 0..document.len());
        let operations: f64 = positions.map(|at| config.operations_per_token(at)).sum();
        let rate = median(self.tokens_per_second);
        let speed = rate * operations / self.batch.tokens() as f64;
        let figure = |what: &str, value, unit| {
            figure(
                &format!("score, {} tokens a document{what}", self.name),
                value,
                unit,
            );
        };
        figure("", rate, "tokens/s");
        figure(", speed", speed / 1e9, "GFLOP/s");
        figure(", share", speed / floor, "of products");
        let per_core = median(self.tokens_per_processor_second);
        figure(", a core", per_core, "tokens/processor second");
        figure(", mean", self.mean_nats, "nats");
    }
}

/// Runs all rounds and prints the medians.
fn measure(loaded: &mut Loaded, batches: Vec<(String, Batch)>, threads: usize, rounds: usize) {
    let products = products(&loaded.config, threads);
    let mut floor = Vec::new();
    let mut cases: Vec<Case> = batches
        .into_iter()
        .map(|(name, batch)| Case::new(name, batch))
        .collect();
    for _ in 0..rounds {
        floor.push(products.operations_per_second());
        cases
            .iter_mut()
            .for_each(|case| case.run(loaded.model.as_mut()));
    }
    let floor = median(floor);
    figure("products alone", floor / 1e9, "GFLOP/s");
    cases
        .into_iter()
        .for_each(|case| case.print(&loaded.config, floor));
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
        "/../models/SmolLM2-135M-Instruct.Q4_1.gguf"
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

/// The products of one layer of the decoder.
fn products(config: &Config, threads: usize) -> Products {
    let qkv = config.query_width() + 2 * config.kv_width();
    let shapes = [
        (config.width, qkv),
        (config.query_width(), config.width),
        (config.width, 2 * config.hidden),
        (config.hidden, config.width),
    ];
    Products::new(shapes, 40, threads)
}
