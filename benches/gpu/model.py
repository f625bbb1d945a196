"""A Hugging Face directory, with random weights if need be: speed does not depend on what weights say."""

import json

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

END_OF_TEXT = "<|endoftext|>"
SEPARATOR = 0
SMOLLM2_135M = {
    "num_hidden_layers": 30,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "rope_theta": 100000.0,
}
TINY = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 8192,
    "rope_theta": 10000.0,
}


def write_random(directory, shape):
    """The directory, made: bf16 weights, drawn as for the start of training, and a tokenizer that knows one token,
    because only ids are scored."""
    directory.mkdir()
    torch.manual_seed(0)
    fixed = {"rms_norm_eps": 1e-5, "tie_word_embeddings": True, "bos_token_id": SEPARATOR, "initializer_range": 0.04}
    model = AutoModelForCausalLM.from_config(LlamaConfig(**shape, **fixed), dtype=torch.bfloat16)
    model.save_pretrained(directory)
    vocabulary = {END_OF_TEXT: SEPARATOR}
    tokenizer = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    return directory


def separator(directory):
    """The token that riffle puts before every document: this spelling's, else the beginning of a sequence."""
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    begin = json.loads((directory / "config.json").read_text()).get("bos_token_id")
    return (tokenizer["model"]["vocab"] | added).get(END_OF_TEXT, begin)


def products(shape, rows):
    """Rows, inner size and columns of the model's products."""
    width, hidden = shape["hidden_size"], shape["intermediate_size"]
    heads, kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
    head = shape.get("head_dim") or width // heads
    return {
        "qkv": (rows, width, (heads + 2 * kv_heads) * head),
        "attention's output": (rows, heads * head, width),
        "gate and up": (rows, width, 2 * hidden),
        "down": (rows, hidden, width),
        # All logits of fewer rows: they would take 6 GB of all.
        "lm head": (rows // 4, width, shape["vocab_size"]),
    }


def operations_per_token(shape, lengths):
    """Mean over the tokens of these documents, as Config::operations_per_token: a product and a sum are two."""
    width, heads = shape["hidden_size"], shape["num_attention_heads"]
    head = shape.get("head_dim") or width // heads
    projections = width * head * (2 * heads + 2 * shape["num_key_value_heads"])
    layer = projections + 3 * width * shape["intermediate_size"]
    fixed = shape["num_hidden_layers"] * layer + width * shape["vocab_size"]
    seen = sum(n * (n + 1) / 2 for n in lengths) / sum(lengths)
    return 2 * (fixed + 2 * shape["num_hidden_layers"] * heads * head * seen)
