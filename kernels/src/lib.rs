//! Models and tokenizers.
