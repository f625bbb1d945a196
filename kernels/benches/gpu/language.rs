//! A language model and documents of token ids.

use std::collections::BTreeMap;
use std::path::Path;

use riffle_kernels::{Batch, LanguageModel, LoadOptions};

use super::{Arguments, Contestant, introduce};

struct Language {
    model: Box<dyn LanguageModel>,
    mixes: BTreeMap<String, Batch>,
}

/// The model of `--model` with the documents of `--ids`.
pub fn load(arguments: &Arguments, options: &LoadOptions) -> Box<dyn Contestant> {
    let path = arguments.value("--model").expect("--model names a model");
    let documents: BTreeMap<String, Vec<Vec<u32>>> = arguments.documents("--ids");
    let loaded = riffle_kernels::load(Path::new(&path), options).expect("the model loads");
    introduce(loaded.model.describe(), loaded.fallback.as_ref());
    let batch = |documents: &Vec<Vec<u32>>| documents.iter().map(Vec::as_slice).collect();
    Box::new(Language {
        model: loaded.model,
        mixes: documents
            .iter()
            .map(|(mix, documents)| (mix.clone(), batch(documents)))
            .collect(),
    })
}

impl Language {
    fn nll_nats(&mut self, mix: &str) -> Vec<f64> {
        let scores = self.model.score(&self.mixes[mix]);
        let scores = scores.expect("the documents are inside the model's limits");
        scores.iter().map(|score| score.nll_nats).collect()
    }
}

impl Contestant for Language {
    fn works(&self) -> &'static [&'static str] {
        &["score"]
    }

    fn mixes(&self) -> BTreeMap<String, usize> {
        let mixes = self.mixes.iter();
        mixes
            .map(|(mix, batch)| (mix.clone(), batch.tokens()))
            .collect()
    }

    fn work(&mut self, _: &str, mix: &str) {
        std::hint::black_box(self.nll_nats(mix));
    }

    fn results(&mut self, mix: &str) -> String {
        format!("{:?}", self.nll_nats(mix))
    }
}
