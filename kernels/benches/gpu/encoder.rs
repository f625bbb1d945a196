//! An encoder and texts, tokenized beside it or ahead of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use riffle_kernels::{
    Batch, EncoderTokenizer, LoadOptions, LoadedEncoder, LshConfig, Wanted, load_encoder,
};

use super::{Arguments, Contestant, introduce};

/// Texts that a thread tokenizes between two looks at the queue.
const CHUNK: usize = 128;
/// Chunks that wait for the encoder at most.
const CHUNKS_WAITING: usize = 256;

/// The hashes that the density stage starts from.
const HASHES: LshConfig = LshConfig {
    rows: 128,
    concatenated: 4,
    bucket_width: 1.0,
    cells: 20_000,
    seed: 0,
};

struct Encoder {
    loaded: LoadedEncoder,
    threads: usize,
    mixes: BTreeMap<String, Mix>,
}

/// The same documents as texts and as tokens, in batches that the encoder is best handed.
struct Mix {
    texts: Vec<String>,
    batches: Vec<Batch>,
}

/// The encoder in this directory with the documents of `--texts`.
pub fn load(path: &str, arguments: &Arguments, options: LoadOptions) -> Box<dyn Contestant> {
    let documents: BTreeMap<String, Vec<String>> = arguments.documents("--texts");
    let options = LoadOptions {
        hashes: Some(HASHES),
        ..options
    };
    let loaded = load_encoder(Path::new(path), &options).expect("the encoder loads");
    introduce(loaded.encoder.describe(), loaded.fallback.as_ref());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut encoder = Encoder {
        threads: arguments.number("--threads").unwrap_or(cores),
        loaded,
        mixes: BTreeMap::new(),
    };
    for (mix, texts) in documents {
        let batches = encoder.tokenize(&texts);
        encoder.mixes.insert(mix, Mix { texts, batches });
    }
    Box::new(encoder)
}

impl Encoder {
    /// The tokens of texts, in order, on one thread.
    fn tokenize(&self, texts: &[String]) -> Vec<Batch> {
        let mut batches = Batches::new(self.loaded.batch_tokens);
        for text in texts {
            batches.push(&tokens(&self.loaded.tokenizer, text));
        }
        batches.finished()
    }

    /// Embeddings of texts, tokenized by all threads while the encoder computes.
    fn embed_texts(&mut self, mix: &str) {
        let (texts, threads) = (&self.mixes[mix].texts, self.threads);
        let LoadedEncoder {
            encoder,
            tokenizer,
            batch_tokens,
            ..
        } = &mut self.loaded;
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::sync_channel(CHUNKS_WAITING);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, next, tokenizer) = (sender.clone(), &next, &*tokenizer);
                scope.spawn(move || {
                    let number = || next.fetch_add(1, Ordering::Relaxed);
                    while let Some(chunk) = texts.chunks(CHUNK).nth(number()) {
                        let ids = chunk.iter().map(|text| tokens(tokenizer, text));
                        let ids: Vec<Vec<u32>> = ids.collect();
                        sender.send(ids).expect("the encoder waits for all");
                    }
                });
            }
            drop(sender);
            let mut batches = Batches::new(*batch_tokens);
            for ids in receiver.iter().flatten() {
                batches.push(&ids);
                batches
                    .full
                    .drain(..)
                    .for_each(|batch| embed(encoder.as_mut(), &batch));
            }
            batches
                .finished()
                .iter()
                .for_each(|batch| embed(encoder.as_mut(), batch));
        });
    }
}

/// Documents in batches that reach a number of tokens.
struct Batches {
    tokens: usize,
    full: Vec<Batch>,
    open: Batch,
}

impl Batches {
    fn new(tokens: usize) -> Self {
        Batches {
            tokens,
            full: Vec::new(),
            open: Batch::new(),
        }
    }

    fn push(&mut self, ids: &[u32]) {
        self.open.push(ids);
        if self.open.tokens() >= self.tokens {
            self.full.push(std::mem::take(&mut self.open));
        }
    }

    fn finished(mut self) -> Vec<Batch> {
        self.full
            .extend((!self.open.is_empty()).then_some(self.open));
        self.full
    }
}

fn tokens(tokenizer: &EncoderTokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text).expect("any text has tokens").ids
}

fn embed(encoder: &mut dyn riffle_kernels::Encoder, batch: &Batch) {
    let embeddings = encoder.embed(batch);
    std::hint::black_box(embeddings.expect("the documents are inside the model's limits"));
}

impl Contestant for Encoder {
    fn works(&self) -> &'static [&'static str] {
        &["embed", "codes", "text", "tokenize"]
    }

    fn mixes(&self) -> BTreeMap<String, usize> {
        let tokens = |mix: &Mix| mix.batches.iter().map(Batch::tokens).sum();
        let mixes = self.mixes.iter();
        mixes
            .map(|(name, mix)| (name.clone(), tokens(mix)))
            .collect()
    }

    fn work(&mut self, work: &str, mix: &str) {
        let batches = &self.mixes[mix].batches;
        let encoder = self.loaded.encoder.as_mut();
        match work {
            "embed" => batches.iter().for_each(|batch| embed(encoder, batch)),
            "codes" => batches.iter().for_each(|batch| {
                let codes = encoder.encode(batch, Wanted::Codes);
                std::hint::black_box(codes.expect("the documents are inside the model's limits"));
            }),
            "text" => self.embed_texts(mix),
            _ => {
                std::hint::black_box(self.tokenize(&self.mixes[mix].texts));
            }
        }
    }

    fn results(&mut self, mix: &str) -> String {
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for batch in &self.mixes[mix].batches {
            let embeddings = self.loaded.encoder.embed(batch);
            let embeddings = embeddings.expect("the documents are inside the model's limits");
            rows.extend(embeddings.documents().map(<[f32]>::to_vec));
        }
        serde_json::to_string(&rows).expect("numbers are JSON")
    }
}
