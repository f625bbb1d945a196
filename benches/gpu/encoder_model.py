"""The encoder that is measured: its operations, and a tiny one with random weights for rehearsals."""

import json
import string

import torch
from transformers import BertConfig, BertModel

TINY = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MODULES = [
    ("", "sentence_transformers.models.Transformer"),
    ("1_Pooling", "sentence_transformers.models.Pooling"),
    ("2_Normalize", "sentence_transformers.models.Normalize"),
]


def write_random(directory, shape=TINY, longest=256):
    """A sentence-transformers directory, made: random weights and a tokenizer that knows letters."""
    letters = [mark + letter for letter in string.printable.split()[0] for mark in ("", "##")]
    vocabulary = {token: n for n, token in enumerate(SPECIAL + letters)}
    torch.manual_seed(0)
    BertModel(BertConfig(**shape, vocab_size=len(vocabulary)), add_pooling_layer=False).save_pretrained(directory)
    modules = [{"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(MODULES)]
    pooling = {"word_embedding_dimension": shape["hidden_size"], "pooling_mode_mean_tokens": True}
    files = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "1_Pooling/config.json": pooling | {"pooling_mode_cls_token": False},
        "tokenizer.json": tokenizer(vocabulary),
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"},
    }
    for path, _ in MODULES:
        (directory / path).mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    return directory


def tokenizer(vocabulary):
    special = {token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")}
    around = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    word_pieces = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": around, "pair": around, "special_tokens": special},
        "decoder": None,
        "model": {"type": "WordPiece", "vocab": vocabulary} | word_pieces,
    }


def products(shape, rows):
    """Rows, inner size and columns of the model's products."""
    width, hidden = shape["hidden_size"], shape["intermediate_size"]
    return {
        "qkv": (rows, width, 3 * width),
        "attention's output": (rows, width, width),
        "up": (rows, width, hidden),
        "down": (rows, hidden, width),
    }


def operations_per_token(shape, lengths):
    """Mean over the tokens of these documents, as EncoderConfig::operations_per_token: a product and a sum are two."""
    width, hidden = shape["hidden_size"], shape["intermediate_size"]
    seen = sum(n * n for n in lengths) / sum(lengths)
    return 2 * shape["num_hidden_layers"] * (4 * width * width + 2 * width * hidden + 2 * width * seen)
