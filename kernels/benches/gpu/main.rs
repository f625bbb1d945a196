//! How fast a language model scores documents, or an encoder embeds them, on a GPU or the CPU.
//!
//! ```text
//! cargo bench -p riffle-kernels --bench gpu -- --model DIRECTORY --ids documents.json
//! cargo bench -p riffle-kernels --bench gpu -- --encoder DIRECTORY --texts documents.json
//!     --device cuda:0       # or auto, cpu
//!     --batch-tokens 65536  # tokens that the device computes on at once; its own choice without
//!     --threads 16          # that tokenize for an encoder; one a core without
//!     --rounds 5            # of all mixes in turn
//!     --on-request          # one run for each line on standard input, instead of rounds
//! ```
//!
//! `documents.json` is an object: for each mix a list of documents, each a list of token ids, or a
//! text for an encoder. A figure is the whole of a mix as `figure<TAB>name<TAB>value<TAB>unit`:
//! `score` and `embed` from ids in memory to results in memory, `codes` to an encoder's codes alone,
//! `text` from texts, tokenized by all threads, to embeddings, `tokenize` on one thread to ids.
//! `benches/gpu/run.py` and `encode.py` start this with `--on-request` so that it can take turns
//! with others on one device: `embed MIX` runs once and prints the seconds, `tokens MIX` prints how
//! many there are, `results MIX` prints what the model gives as `results<TAB>MIX<TAB>[…]`. The
//! first run of a mix warms up; whoever asks leaves it out. Not yet run on a GPU.

mod encoder;
mod language;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::str::FromStr;
use std::time::Instant;

use riffle_kernels::{CudaError, DeviceChoice, LoadOptions, ModelInfo};

/// A model with documents of several mixes.
trait Contestant {
    /// What can be timed.
    fn works(&self) -> &'static [&'static str];

    /// The mixes, and how many tokens each has.
    fn mixes(&self) -> BTreeMap<String, usize>;

    /// Does a work on a mix, once.
    fn work(&mut self, work: &str, mix: &str);

    /// What the model gives for the documents of a mix, as JSON.
    fn results(&mut self, mix: &str) -> String;
}

fn main() {
    let arguments = Arguments(std::env::args().collect());
    let device = arguments.value("--device").unwrap_or_else(|| "auto".into());
    let options = LoadOptions {
        device: device.parse::<DeviceChoice>().expect("a device"),
        batch_tokens_max: arguments.number("--batch-tokens"),
        ..LoadOptions::default()
    };
    let started = Instant::now();
    let mut contestant = match arguments.value("--encoder") {
        Some(path) => encoder::load(&path, &arguments, options),
        None => language::load(&arguments, &options),
    };
    figure("load", started.elapsed().as_secs_f64(), "s");
    println!("ready");
    match arguments.has("--on-request") {
        true => answer(contestant.as_mut()),
        false => {
            let rounds = arguments.number("--rounds").unwrap_or(5);
            measure(contestant.as_mut(), rounds);
        }
    }
}

/// The command line.
struct Arguments(Vec<String>);

impl Arguments {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    fn value(&self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|argument| argument == name)?;
        self.0.get(place + 1).cloned()
    }

    fn number<N: FromStr>(&self, name: &str) -> Option<N> {
        let number = |text: String| text.parse().ok();
        self.value(name)
            .map(|text| number(text).expect("a whole number follows the option"))
    }

    /// The documents of each mix, in the file that an option names.
    fn documents<D: serde::de::DeserializeOwned>(&self, name: &str) -> BTreeMap<String, Vec<D>> {
        let path = self.value(name).expect("an option names the documents");
        let json = std::fs::read(path).expect("the file of documents is there");
        serde_json::from_slice(&json).expect("an object of lists of documents")
    }
}

/// Does what each line of standard input asks, until it ends.
fn answer(contestant: &mut dyn Contestant) {
    let (mixes, works) = (contestant.mixes(), contestant.works());
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let (verb, mix) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(tokens) = mixes.get(mix) else {
            println!("# there is no mix {mix:?}");
            continue;
        };
        match verb {
            "results" => println!("results\t{mix}\t{}", contestant.results(mix)),
            "tokens" => figure(&line, *tokens as f64, "tokens"),
            work if works.contains(&work) => figure(&line, seconds(contestant, work, mix), "s"),
            _ => println!(
                "# asked to {verb:?}; can results, tokens, {}",
                works.join(", ")
            ),
        }
    }
}

/// Does all works on all mixes in turn, once to warm up and then so many times, and prints the
/// medians.
fn measure(contestant: &mut dyn Contestant, rounds: usize) {
    let mixes = contestant.mixes();
    let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..=rounds {
        for (mix, tokens) in &mixes {
            for work in contestant.works() {
                let rate = *tokens as f64 / seconds(contestant, work, mix);
                if round > 0 {
                    rates
                        .entry(format!("{work}, {mix}"))
                        .or_default()
                        .push(rate);
                }
            }
        }
    }
    for (name, mut rates) in rates {
        rates.sort_by(f64::total_cmp);
        figure(&name, rates[rates.len() / 2], "tokens/s");
    }
}

fn seconds(contestant: &mut dyn Contestant, work: &str, mix: &str) -> f64 {
    let started = Instant::now();
    contestant.work(work, mix);
    started.elapsed().as_secs_f64()
}

/// Says what was loaded, and why it is not on a GPU.
fn introduce(model: &ModelInfo, fallback: Option<&CudaError>) {
    if let Some(reason) = fallback {
        println!("# not on a GPU: {reason}");
    }
    println!("# {model:?}");
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\t{name}\t{value:.6}\t{unit}");
}
