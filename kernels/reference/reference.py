"""Writes golden.json: token ids and likelihoods of texts.jsonl by an independent implementation.

Everything is in float64 with numpy, from the formulas of the Llama architecture and not from the
Rust code: weights by the `gguf` package's dequantisation, rotary embedding in GGUF's own interleaved
order, full logits, and byte-level BPE written out below (split, then merge the best pair until none
is left). Usage:

    pip install -r requirements.txt
    python reference.py ../../models/SmolLM2-135M-Instruct.Q4_1.gguf > golden.json
"""

import hashlib
import json
import pathlib
import sys
import unicodedata

import gguf
import numpy as np


def letter(c):
    return unicodedata.category(c)[0] == "L"


def number(c):
    return unicodedata.category(c)[0] == "N"


def mark(c):
    return not (c.isspace() or letter(c) or number(c))


def split_words(text):
    """GPT-2's pattern, by hand: contractions, then runs of letters, numbers or marks with at most one
    space before, then runs of white space that leave their last character to a following word."""
    pieces, at = [], 0
    while at < len(text):
        for ending in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
            if text.startswith(ending, at):
                end = at + len(ending)
                break
        else:
            start = at + 1 if text[at] == " " and at + 1 < len(text) else at
            kind = next((k for k in (letter, number, mark) if k(text[start])), None)
            if kind:
                end = start
                while end < len(text) and kind(text[end]):
                    end += 1
            else:
                end = at
                while end < len(text) and text[end].isspace():
                    end += 1
                if end < len(text) and end - at > 1:
                    end -= 1
        pieces.append(text[at:end])
        at = end
    return pieces


def split_digits(text):
    """Every character of a numeric category stands alone; the text between is kept whole."""
    pieces, run = [], ""
    for c in text:
        if number(c):
            pieces += [run, c] if run else [c]
            run = ""
        else:
            run += c
    return pieces + [run] if run else pieces


def byte_letters():
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + n) for n, b in enumerate(others)}


class Bpe:
    def __init__(self, tokens, merges):
        self.ids = {token: n for n, token in enumerate(tokens)}
        self.ranks = {tuple(merge.split(" ")): n for n, merge in enumerate(merges)}
        self.letters = byte_letters()

    def encode(self, text):
        words = [word for piece in split_digits(text) for word in split_words(piece)]
        return [n for word in words for n in self.encode_word(word)]

    def encode_word(self, word):
        parts = [self.letters[b] for b in word.encode()]
        while len(parts) > 1:
            ranked = [(self.ranks.get(pair, len(self.ranks)), n) for n, pair in enumerate(zip(parts, parts[1:]))]
            rank, n = min(ranked)
            if rank == len(self.ranks):
                break
            parts[n : n + 2] = [parts[n] + parts[n + 1]]
        return [self.ids[part] for part in parts]


class Model:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        assert fields["general.architecture"] == "llama" and fields["tokenizer.ggml.pre"] == "smollm"
        self.weights = {
            t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float64).reshape(t.shape[::-1])
            for t in reader.tensors
        }
        self.bpe = Bpe(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.merges"])
        self.separator = fields["tokenizer.ggml.tokens"].index("<|endoftext|>")
        self.layers = fields["llama.block_count"]
        self.heads = fields["llama.attention.head_count"]
        self.kv_heads = fields["llama.attention.head_count_kv"]
        self.base = fields["llama.rope.freq_base"]
        self.epsilon = fields["llama.attention.layer_norm_rms_epsilon"]

    def norm(self, x, name):
        scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        return x / scale * self.weights[f"{name}.weight"]

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T

    def turn(self, x):
        """Rotary embedding of [T, heads, D]: channels 2i and 2i + 1 as one complex number."""
        positions, _, width = x.shape
        angles = np.arange(positions)[:, None] * self.base ** (-np.arange(0, width, 2) / width)
        turned = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)[:, None, :]
        return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)

    def attention(self, x, name):
        tokens, width = len(x), x.shape[1] // self.heads
        q = self.turn(self.linear(x, f"{name}.attn_q").reshape(tokens, self.heads, width))
        k = self.turn(self.linear(x, f"{name}.attn_k").reshape(tokens, self.kv_heads, width))
        v = self.linear(x, f"{name}.attn_v").reshape(tokens, self.kv_heads, width)
        hidden = np.triu(np.full((tokens, tokens), -np.inf), 1)
        out = np.empty_like(q)
        for head in range(self.heads):
            shared = head * self.kv_heads // self.heads
            scores = q[:, head] @ k[:, shared].T / np.sqrt(width) + hidden
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out[:, head] = weights / weights.sum(axis=-1, keepdims=True) @ v[:, shared]
        return self.linear(out.reshape(tokens, -1), f"{name}.attn_output")

    def nll(self, ids):
        """Negative log-likelihood of each token after the separator, in nats."""
        x = self.weights["token_embd.weight"][[self.separator, *ids[:-1]]]
        for layer in range(self.layers):
            name = f"blk.{layer}"
            x = x + self.attention(self.norm(x, f"{name}.attn_norm"), name)
            normed = self.norm(x, f"{name}.ffn_norm")
            gate = self.linear(normed, f"{name}.ffn_gate")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * self.linear(normed, f"{name}.ffn_up"), f"{name}.ffn_down")
        x = self.norm(x, "output_norm")
        logits = x @ self.weights.get("output.weight", self.weights["token_embd.weight"]).T
        largest = logits.max(axis=-1)
        total = np.log(np.exp(logits - largest[:, None]).sum(axis=-1)) + largest
        return total - logits[np.arange(len(ids)), ids]


def main(path):
    model = Model(path)
    entries = []
    for line in pathlib.Path(__file__).with_name("texts.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        ids = model.bpe.encode(item["text"])
        nll = model.nll(ids)
        entries.append({
            "name": item["name"],
            "tokens": len(ids),
            "ids": ids,
            "nll_nats": float(nll.sum()),
            "mean_nats": float(nll.mean()),
        })
        print(item["name"], len(ids), entries[-1]["mean_nats"], file=sys.stderr)
    digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    # One text a line: the file is read by people when a test fails.
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    print(f'{{"model_sha256": "{digest}", "texts": [\n{lines}\n]}}')


if __name__ == "__main__":
    main(sys.argv[1])
