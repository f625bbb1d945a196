//! How fast the CPU encoder embeds and its codes are made, beside the matrix products alone.
//!
//! ```text
//! make models && cargo bench -p riffle-kernels --bench encode
//! cargo bench -p riffle-kernels --bench encode -- --threads 1 --rounds 9
//! ```
//!
//! Each round measures, in turn, the products of a forward pass alone, embedding at every length,
//! tokenization and hashing, so that other work on the machine falls on all; the median of the
//! rounds is printed as `figure<TAB>name<TAB>value<TAB>unit`. On a machine that is busy otherwise,
//! the rate per second of processor time still says what a quiet core does. Tokenization and
//! hashing run on one thread. It should not win on batches shorter than one tile of 48 tokens,
//! which are filled up to a tile.

mod products;

use std::path::PathBuf;
use std::time::Instant;

use products::Products;
use riffle_kernels::{
    Batch, EncoderConfig, LoadOptions, LoadedEncoder, Lsh, LshConfig, load_encoder,
};

/// Tokens of a batch.
const BATCH_TOKENS: usize = 4096;
const LENGTHS: [usize; 3] = [32, 128, 256];
/// Embeddings hashed in a round.
const HASHED: usize = 4096;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default| {
        let place = arguments.iter().position(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1));
        value.map_or(default, |value| {
            value.parse().expect("a whole number follows")
        })
    };
    let threads = number("--threads", rayon::current_num_threads());
    let rounds = number("--rounds", 5);
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    let mut loaded =
        load_encoder(&model_path(), &options).expect("the model loads: try `make models`");
    figure("threads", threads as f64, "threads");
    println!("# {:?}", loaded.encoder.describe());

    let products = products(&loaded.config, threads);
    let batches = LENGTHS.map(|length| batch_of(&loaded, length));
    let lsh = hashes(&loaded.config);
    let mut floor = Vec::new();
    let mut rates = LENGTHS.map(|_| Vec::new());
    let (mut tokenized, mut hashed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        floor.push(products.operations_per_second());
        for (batch, rates) in batches.iter().zip(&mut rates) {
            rates.push(Rates::of_embedding(&mut loaded, batch));
        }
        tokenized.push(tokenized_per_second(&loaded));
        hashed.push(hashed_per_second(&lsh, loaded.config.width));
    }
    let floor = median(floor);
    figure("products alone", floor / 1e9, "GFLOP/s");
    for (length, rates) in LENGTHS.into_iter().zip(rates) {
        let rate = median(rates.iter().map(|rates| rates.per_second).collect());
        let per_core = rates.iter().map(|rates| rates.per_processor_second);
        let per_core = median(per_core.collect());
        let speed = rate * loaded.config.operations_per_token(length);
        let figure = |what: &str, value, unit| {
            figure(
                &format!("encode, {length} tokens a document{what}"),
                value,
                unit,
            );
        };
        figure("", rate, "tokens/s");
        figure(", documents", rate / length as f64, "documents/s");
        figure(", speed", speed / 1e9, "GFLOP/s");
        figure(", share", speed / floor, "of products");
        figure(", a core", per_core, "tokens/processor second");
    }
    figure("tokenize, one thread", median(tokenized), "tokens/s");
    figure(
        "hash, R = 128, n = 4, one thread",
        median(hashed),
        "documents/s",
    );
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\t{name}\t{value:.4}\t{unit}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn model_path() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/all-MiniLM-L6-v2");
    std::env::var_os("RIFFLE_TEST_ENCODER").map_or(default.into(), PathBuf::from)
}

fn texts() -> Vec<String> {
    let lines = include_str!("../reference/texts.jsonl").lines();
    let items = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one object a line"));
    items
        .filter_map(|item| item["text"].as_str().map(str::to_string))
        .collect()
}

/// Documents of one length out of the reference texts' tokens, [`BATCH_TOKENS`] in all.
fn batch_of(loaded: &LoadedEncoder, length: usize) -> Batch {
    let ids: Vec<u32> = texts()
        .iter()
        .flat_map(|text| loaded.tokenizer.encode(text).expect("any text").ids)
        .collect();
    let ids: Vec<u32> = ids.into_iter().cycle().take(BATCH_TOKENS).collect();
    ids.chunks(length).collect()
}

/// Tokens that one call embeds, a second and a second of processor time.
struct Rates {
    per_second: f64,
    per_processor_second: f64,
}

impl Rates {
    fn of_embedding(loaded: &mut LoadedEncoder, batch: &Batch) -> Self {
        let (started, processor_started) = (Instant::now(), processor_seconds());
        let embeddings = loaded.encoder.embed(batch);
        std::hint::black_box(embeddings.expect("the batch is inside the model's limits"));
        let tokens = batch.tokens() as f64;
        Rates {
            per_second: tokens / started.elapsed().as_secs_f64(),
            per_processor_second: tokens / (processor_seconds() - processor_started),
        }
    }
}

/// Processor time of this process so far, all threads together; not a number where the system does
/// not say.
fn processor_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses come the state and ten more fields, then user and system time
    // in hundredths of a second.
    let fields = status.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => (user + system) / 100.0,
        _ => f64::NAN,
    }
}

fn tokenized_per_second(loaded: &LoadedEncoder) -> f64 {
    let texts = texts();
    let started = Instant::now();
    let mut tokens = 0;
    for text in texts.iter().cycle().take(20 * texts.len()) {
        tokens += loaded.tokenizer.encode(text).expect("any text").ids.len();
    }
    tokens as f64 / started.elapsed().as_secs_f64()
}

/// The hashes that the density stage starts from.
fn hashes(config: &EncoderConfig) -> Lsh {
    let hashes = LshConfig {
        rows: 128,
        concatenated: 4,
        bucket_width: 1.0,
        cells: 65536,
        seed: 0,
    };
    Lsh::new(hashes, config.width).expect("the shape is inside its limits")
}

fn hashed_per_second(lsh: &Lsh, width: usize) -> f64 {
    let values = (0..HASHED * width).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 5800.0);
    let embeddings: Vec<f32> = values.collect();
    let started = Instant::now();
    std::hint::black_box(lsh.codes(&embeddings));
    HASHED as f64 / started.elapsed().as_secs_f64()
}

/// The products of one layer of the encoder.
fn products(config: &EncoderConfig, threads: usize) -> Products {
    let (width, hidden) = (config.width, config.hidden);
    let shapes = [
        (width, 3 * width),
        (width, width),
        (width, hidden),
        (hidden, width),
    ];
    Products::new(shapes, 80, threads)
}
