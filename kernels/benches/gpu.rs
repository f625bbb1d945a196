//! How fast a model scores the documents of a file, on a GPU or the CPU.
//!
//! ```text
//! cargo bench -p riffle-kernels --bench gpu -- --model DIRECTORY --ids documents.json
//!     --device cuda:0       # or auto, cpu
//!     --batch-tokens 65536  # tokens that the device computes on at once; its own choice without
//!     --rounds 5            # of all mixes in turn
//!     --on-request          # one run for each line on standard input, instead of rounds
//! ```
//!
//! `documents.json` is an object: for each mix a list of documents, each a list of token ids. A
//! figure is the whole of a mix, from ids in memory to likelihoods in memory, as
//! `figure<TAB>name<TAB>value<TAB>unit`. `benches/gpu/run.py` starts this with `--on-request` so
//! that it can take turns with others on one device: `score MIX` runs once and prints the seconds,
//! `nll MIX` prints each document's likelihood as `nll<TAB>MIX<TAB>[nats, …]`. The first run of a
//! mix warms up; whoever asks leaves it out. Not yet run on a GPU.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use riffle_kernels::{Batch, DeviceChoice, LanguageModel, LoadOptions, load};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let number = |name: &str| {
        value(name).map(|value| value.parse().expect("a whole number follows the option"))
    };
    let device = value("--device").unwrap_or_else(|| "auto".into());
    let options = LoadOptions {
        device: device.parse::<DeviceChoice>().expect("a device"),
        batch_tokens_max: number("--batch-tokens"),
        ..LoadOptions::default()
    };
    let path = value("--model").expect("--model names a model");
    let mixes = read_mixes(&value("--ids").expect("--ids names a file of documents"));

    let started = Instant::now();
    let loaded = load(Path::new(&path), &options).expect("the model loads");
    figure("load", started.elapsed().as_secs_f64(), "s");
    if let Some(reason) = &loaded.fallback {
        println!("# not on a GPU: {reason}");
    }
    println!("# {:?}", loaded.model.describe());
    let mut model = loaded.model;
    println!("ready");
    match arguments.iter().any(|argument| argument == "--on-request") {
        true => answer(model.as_mut(), &mixes),
        false => measure(model.as_mut(), &mixes, number("--rounds").unwrap_or(5)),
    }
}

/// Does what each line of standard input asks, until it ends.
fn answer(model: &mut dyn LanguageModel, mixes: &BTreeMap<String, Batch>) {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let (verb, name) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(batch) = mixes.get(name) else {
            println!("# there is no mix {name:?}");
            continue;
        };
        match verb {
            "score" => figure(&format!("score, {name}"), seconds(model, batch), "s"),
            "nll" => println!("nll\t{name}\t{:?}", nll_nats(model, batch)),
            _ => println!("# asked to {verb:?}; can score and nll"),
        }
    }
}

/// Runs all mixes in turn, once to warm up and then so many times, and prints the medians.
fn measure(model: &mut dyn LanguageModel, mixes: &BTreeMap<String, Batch>, rounds: usize) {
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..=rounds {
        for (name, batch) in mixes {
            let rate = batch.tokens() as f64 / seconds(model, batch);
            if round > 0 {
                rates.entry(name).or_default().push(rate);
            }
        }
    }
    for (name, mut rates) in rates {
        rates.sort_by(f64::total_cmp);
        figure(
            &format!("score, {name}"),
            rates[rates.len() / 2],
            "tokens/s",
        );
    }
}

fn seconds(model: &mut dyn LanguageModel, batch: &Batch) -> f64 {
    let started = Instant::now();
    std::hint::black_box(nll_nats(model, batch));
    started.elapsed().as_secs_f64()
}

fn nll_nats(model: &mut dyn LanguageModel, batch: &Batch) -> Vec<f64> {
    let scores = model.score(batch);
    let scores = scores.expect("the documents are inside the model's limits");
    scores.iter().map(|score| score.nll_nats).collect()
}

fn read_mixes(path: &str) -> BTreeMap<String, Batch> {
    let json = std::fs::read(path).expect("the file of token ids is there");
    let mixes: BTreeMap<String, Vec<Vec<u32>>> =
        serde_json::from_slice(&json).expect("an object of lists of lists of ids");
    mixes
        .into_iter()
        .map(|(name, documents)| (name, documents.iter().map(Vec::as_slice).collect()))
        .collect()
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\t{name}\t{value:.6}\t{unit}");
}
