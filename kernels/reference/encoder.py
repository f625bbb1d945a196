"""Writes golden_encoder.json: token ids and embeddings of texts.jsonl by an independent implementation.

Everything is in float64 with numpy, from the formulas of BERT (arXiv 1810.04805) and not from the Rust
code: safetensors read by hand, full attention matrices, and the tokenizer written out below (normalise,
split, longest piece first). Usage:

    pip install -r requirements.txt
    python encoder.py ../../models/all-MiniLM-L6-v2 > golden_encoder.json
"""

import hashlib
import json
import math
import pathlib
import struct
import sys
import unicodedata

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


def han(c):
    blocks = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]
    return any(first <= ord(c) <= last for first, last in blocks)


def mark(c):
    return c.isascii() and c.isprintable() and not c.isalnum() and c != " " or unicodedata.category(c)[0] == "P"


def normalise(text):
    """Control characters off, blanks to spaces, spaces around Han, accents off, lower case."""
    out = ""
    for c in text:
        if c in "\t\n\r" or unicodedata.category(c) == "Zs":
            out += " "
        elif c != "\ufffd" and unicodedata.category(c)[0] != "C":
            out += f" {c} " if han(c) else c
    out = "".join(c for c in unicodedata.normalize("NFD", out) if unicodedata.category(c) != "Mn")
    return "".join(c.lower() for c in out)


def split(text):
    """Words at blanks, and each mark alone."""
    return "".join(f" {c} " if mark(c) else c for c in text).split()


class WordPiece:
    def __init__(self, path):
        tokens = path.read_text(encoding="utf-8").split("\n")
        self.ids = {token: n for n, token in enumerate(tokens) if token}

    def encode_word(self, word):
        """The longest known beginning, then the longest known continuation, to the word's end."""
        pieces, at = [], 0
        while at < len(word) <= 100:
            for end in range(len(word), at, -1):
                piece = ("##" if at else "") + word[at:end]
                if piece in self.ids:
                    break
            else:
                return [self.ids["[UNK]"]]
            pieces.append(self.ids[piece])
            at = end
        return pieces or [self.ids["[UNK]"]]

    def encode(self, text, tokens_max):
        ids = [n for word in split(normalise(text)) for n in self.encode_word(word)]
        return [self.ids["[CLS]"], *ids[: tokens_max - 2], self.ids["[SEP]"]]


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        start, end = (8 + length + offset for offset in info["data_offsets"])
        dtype = {"F32": "<f4", "I64": "<i8"}[info["dtype"]]
        tensors[name] = np.frombuffer(data[start:end], dtype).astype(np.float64).reshape(info["shape"])
    return tensors


class Model:
    def __init__(self, path):
        config = json.loads((path / "config.json").read_text())
        assert config["model_type"] == "bert" and config["hidden_act"] == "gelu"
        pooling = json.loads((path / "1_Pooling/config.json").read_text())
        assert pooling["pooling_mode_mean_tokens"] and not pooling["pooling_mode_cls_token"]
        self.tokens_max = json.loads((path / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.weights = read_safetensors(path / "model.safetensors")
        self.wordpiece = WordPiece(path / "vocab.txt")
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.epsilon = config["layer_norm_eps"]

    def norm(self, x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + self.epsilon)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def attention(self, x, name):
        tokens, width = len(x), x.shape[1] // self.heads
        q, k, v = (
            self.linear(x, f"{name}.self.{part}").reshape(tokens, self.heads, width).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(width)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return self.linear((weights @ v).transpose(1, 0, 2).reshape(tokens, -1), f"{name}.output.dense")

    def embed(self, ids):
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            x = self.norm(x + self.attention(x, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            z = self.linear(x, f"{name}.intermediate.dense")
            z = z * (1 + erf(z / np.sqrt(2))) / 2
            x = self.norm(x + self.linear(z, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = x.mean(axis=0)
        return mean / np.sqrt(np.sum(mean**2))


def main(path):
    model = Model(path)
    entries = []
    for line in pathlib.Path(__file__).with_name("texts.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        ids = model.wordpiece.encode(item["text"], model.tokens_max)
        millionths = np.rint(model.embed(ids) * 1e6).astype(int).tolist()
        entries.append({"name": item["name"], "ids": ids, "embedding_millionths": millionths})
        print(item["name"], len(ids), file=sys.stderr)
    digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    # One text a line: the file is read by people when a test fails.
    lines = ",\n".join("  " + json.dumps(entry, separators=(",", ":")) for entry in entries)
    print(f'{{"model_sha256": "{digest}", "texts": [\n{lines}\n]}}')


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
