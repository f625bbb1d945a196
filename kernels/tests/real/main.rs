//! Tests on real weights: SmolLM2-135M-Instruct, which `make models` fetches.

mod golden;
mod invariance;
mod model;
mod tokenizer;
